// The REST API of annotation, as functions. Errors carry one sentence for a person.

import { gettext, interpolate } from "./i18n.js";

/** Anything but a 2xx. `status` 0 means that no answer arrived at all. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = "", body = null, retryAfter = null } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.body = body;
    this.retryAfter = retryAfter;
  }

  get needsLogin() {
    return this.status === 401 || this.code === "not_authenticated";
  }

  /** The same request may succeed later without anybody changing anything. */
  get isPassing() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

const mustLogIn = () => gettext("Your log-in has ended.");

/** Value of one cookie, or the empty string. */
export function cookie(name, source) {
  for (const part of source.split("; ")) {
    const cut = part.indexOf("=");
    if (part.slice(0, cut) === name) return decodeURIComponent(part.slice(cut + 1));
  }
  return "";
}

function sentence(status, answer) {
  if (answer && typeof answer.error === "string") return answer.error;
  if (answer && typeof answer.detail === "string") return answer.detail;
  return interpolate(gettext("The site answered with the number %(status)s."), { status });
}

async function readJson(response) {
  const kind = response.headers.get("Content-Type") ?? "";
  return kind.includes("json") ? response.json() : null;
}

async function errorOf(response) {
  // A log-in page instead of an answer arrives as a redirect, which we do not follow.
  if (response.type === "opaqueredirect") return new ApiError(mustLogIn(), { status: 401 });
  const answer = await readJson(response).catch(() => null);
  const wait = Number.parseFloat(response.headers.get("Retry-After") ?? "");
  return new ApiError(sentence(response.status, answer), {
    status: response.status,
    code: answer?.code ?? "",
    body: answer,
    retryAfter: Number.isFinite(wait) ? wait : null,
  });
}

export class Api {
  /** `csrf` is a function, because a log-in in another tab changes the token. */
  constructor({ csrf, fetch = globalThis.fetch.bind(globalThis), timeout = 20_000 }) {
    this.csrf = csrf;
    this.fetch = fetch;
    this.timeout = timeout;
  }

  async call(method, path, { body = null, headers = {}, keepalive = false } = {}) {
    const request = {
      method,
      keepalive,
      redirect: "manual",
      credentials: "same-origin",
      headers: { Accept: "application/json", "X-CSRFToken": this.csrf(), ...headers },
    };
    if (body !== null) {
      request.headers["Content-Type"] = "application/json";
      request.body = JSON.stringify(body);
    }
    if (!keepalive) request.signal = AbortSignal.timeout(this.timeout);
    let response;
    try {
      response = await this.fetch(path, request);
    } catch {
      throw new ApiError(gettext("The site cannot be reached."));
    }
    if (!response.ok) throw await errorOf(response);
    return response.status === 204 ? null : readJson(response);
  }

  next(campaign, tab, { prefetch = false, screenWidth = null } = {}) {
    const body = { tab, prefetch };
    if (screenWidth !== null) body.screen_width = screenWidth;
    return this.call("POST", `/api/campaigns/${campaign}/next`, { body });
  }

  renew(lease) {
    return this.call("POST", `/api/leases/${lease}/renew`, { body: {} });
  }

  /** Outlives the page: used while it is being left. */
  release(lease) {
    return this.call("POST", `/api/leases/${lease}/release`, { body: {}, keepalive: true });
  }

  mine(campaign) {
    return this.call("GET", `/api/votes/mine?campaign=${campaign}`);
  }

  consent(campaign) {
    return this.call("GET", `/api/campaigns/${campaign}/consent`);
  }

  giveConsent(campaign, sha256) {
    return this.call("POST", `/api/campaigns/${campaign}/consent`, { body: { sha256 } });
  }

  guideline(campaign, language) {
    const query = new URLSearchParams({ language });
    return this.call("GET", `/api/campaigns/${campaign}/guideline?${query}`);
  }

  acceptGuideline(id) {
    return this.call("POST", `/api/guidelines/${id}/accept`, { body: {} });
  }

  scorecard(campaign) {
    return this.call("GET", `/api/campaigns/${campaign}/scorecard`);
  }

  profile() {
    return this.call("GET", "/api/profile");
  }

  saveProfile(profile) {
    return this.call("PUT", "/api/profile", { body: profile });
  }
}
