import assert from "node:assert/strict";
import { test } from "node:test";

import { Api, cookie } from "../../static/js/lib/api.js";

const json = (status, body, headers = {}) =>
  new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } });

const apiOf = (respond) => new Api({ csrf: () => "token", fetch: async (path, request) => respond(path, request) });

test("a request carries the token and JSON", async () => {
  let seen;
  const api = apiOf((path, request) => {
    seen = { path, ...request };
    return json(200, { empty: true });
  });
  await api.next(7, "tab-1", { prefetch: true });
  assert.equal(seen.path, "/api/campaigns/7/next");
  assert.equal(seen.headers["X-CSRFToken"], "token");
  assert.deepEqual(JSON.parse(seen.body), { tab: "tab-1", prefetch: true });
});

test("the sentence of the site becomes the message", async () => {
  const api = apiOf(() => json(409, { error: "Already sent.", code: "conflict" }));
  await assert.rejects(api.renew("x"), (error) => {
    assert.equal(error.message, "Already sent.");
    assert.equal(error.status, 409);
    assert.equal(error.isPassing, false);
    return true;
  });
});

test("no answer, 429 and 5xx pass; 4xx do not", async () => {
  const failing = apiOf(() => Promise.reject(new TypeError("offline")));
  await assert.rejects(failing.mine(1), (error) => error.isPassing && error.status === 0);
  const busy = apiOf(() => json(429, { error: "slow down" }, { "Retry-After": "3" }));
  await assert.rejects(busy.mine(1), (error) => error.isPassing && error.retryAfter === 3);
  const broken = apiOf(() => new Response("<h1>oops</h1>", { status: 503 }));
  await assert.rejects(broken.mine(1), (error) => error.isPassing && error.status === 503);
});

test("401, by status or by the code of the site, asks for a log-in", async () => {
  const gone = apiOf(() => json(403, { error: "Log in.", code: "not_authenticated" }));
  await assert.rejects(gone.mine(1), (error) => error.needsLogin);
});

test("a cookie is found by its whole name", () => {
  const source = "xcsrftoken=no; csrftoken=a%3Db; session=1";
  assert.equal(cookie("csrftoken", source), "a=b");
  assert.equal(cookie("missing", source), "");
});
