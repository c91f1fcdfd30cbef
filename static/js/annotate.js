// The voting page: takes a pair, plays it, takes the vote, puts it into the outbox, goes on.

import { VotingPage } from "./annotate/page.js";
import { OutboxStore } from "./lib/outbox.js";

const page = new VotingPage(await OutboxStore.open());
await page.start();
