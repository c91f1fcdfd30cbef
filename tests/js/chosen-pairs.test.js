import assert from "node:assert/strict";
import test from "node:test";

import { addressOf } from "../../static/js/lib/chosen-pairs.js";

const places = { page: "/pairs/0/", run: "/runs/0/", all: "/pairs/" };

test("chosen pairs lead to their preview, awaited ones to their run", () => {
  assert.equal(addressOf("artifact:12", places), "/pairs/12/");
  assert.equal(addressOf("run:9", places), "/runs/9/");
});

test("without a choice there is the list of all pairs", () => {
  for (const value of ["", "base_model:3", "artifact:", "artifact:x"]) {
    assert.equal(addressOf(value, places), "/pairs/");
  }
});
