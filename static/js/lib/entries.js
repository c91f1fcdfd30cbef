// What goes into the outbox: requests that can be sent again, each under a key of its own.

import { gettext, interpolate } from "./i18n.js";

const LONGEST_TITLE = 60;

function titleOf({ prompt: { text } }) {
  return text.length > LONGEST_TITLE ? `${text.slice(0, LONGEST_TITLE - 1)}…` : text;
}

const titled = (format, assignment) => interpolate(format, { title: titleOf(assignment) });

function ballotOf({ left, right, guideline }, { judgements, timing, remark }) {
  const ballot = { left_video: left.id, right_video: right?.id ?? null, judgements, timing };
  return { ...ballot, remark: remark ?? "", guideline: guideline ?? 0 };
}

/** A vote on a pair; `said`: {judgements, timing, remark}. The lease makes sending it twice be once. */
export function voteEntry({ lease, assignment }, said) {
  return {
    key: lease,
    lease,
    method: "POST",
    path: "/api/votes",
    headers: { "Idempotency-Key": lease },
    body: { lease, ...ballotOf(assignment, said) },
    title: titleOf(assignment),
    isNewVote: true,
  };
}

/** Another word on a pair that was voted on; it holds only for the revision that was seen. */
export function changeEntry({ vote, pair: { assignment } }, said) {
  return {
    key: `${vote.vote}:${vote.revision}`,
    method: "PUT",
    path: `/api/votes/${vote.vote}`,
    headers: { "If-Match": String(vote.revision) },
    body: ballotOf(assignment, said),
    title: titled(gettext("Change: %(title)s"), assignment),
    isNewVote: false,
  };
}

export function skipEntry({ lease, assignment }, reason) {
  return {
    key: lease,
    lease,
    method: "POST",
    path: `/api/leases/${lease}/skip`,
    headers: {},
    body: { reason },
    title: titled(gettext("Skip: %(title)s"), assignment),
    isNewVote: false,
  };
}

/** Kinds of reports that take the clip out of every queue, and with it this pair. */
const ENDING = new Set(["disturbing", "broken"]);
export const endsPair = (kind) => ENDING.has(kind);

/** `said`: {kind, side, note}. */
export function flagEntry({ lease, assignment }, said) {
  return {
    key: `flag:${lease}:${said.kind}:${said.side}`,
    lease: endsPair(said.kind) ? lease : null,
    method: "POST",
    path: `/api/leases/${lease}/flag`,
    headers: {},
    body: said,
    title: titled(gettext("Report: %(title)s"), assignment),
    isNewVote: false,
  };
}
