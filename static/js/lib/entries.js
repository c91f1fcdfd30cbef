// What goes into the outbox: requests that can be sent again, each under a key of its own.

const LONGEST_TITLE = 60;

function titleOf({ prompt: { text } }) {
  return text.length > LONGEST_TITLE ? `${text.slice(0, LONGEST_TITLE - 1)}…` : text;
}

function ballotOf({ left, right }, { judgements, timing }) {
  return { left_video: left.id, right_video: right.id, judgements, timing };
}

/** A vote on a pair; `said`: {judgements, timing}. The lease makes sending it twice be once. */
export function voteEntry({ lease, assignment }, said) {
  return {
    key: lease,
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
    title: `Change: ${titleOf(assignment)}`,
    isNewVote: false,
  };
}

export function skipEntry({ lease, assignment }, reason) {
  return {
    key: lease,
    method: "POST",
    path: `/api/leases/${lease}/skip`,
    headers: {},
    body: { reason },
    title: `Skip: ${titleOf(assignment)}`,
    isNewVote: false,
  };
}
