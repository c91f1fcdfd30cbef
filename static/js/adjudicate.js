// The page of the adjudicator: a pair on which people split, played and judged as on the voting page.

import { AdjudicationPage } from "./adjudicate/page.js";

await new AdjudicationPage().start();
