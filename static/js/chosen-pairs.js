// The link beside a choice of pairs leads to what is chosen.

import { addressOf } from "./lib/chosen-pairs.js";

for (const link of document.querySelectorAll("a[data-pairs-of]")) {
  const choice = document.getElementById(link.dataset.pairsOf);
  const places = { page: link.dataset.page, run: link.dataset.run, all: link.getAttribute("href") };
  const follow = () => link.setAttribute("href", addressOf(choice.value, places));
  choice.addEventListener("change", follow);
  follow();
}
