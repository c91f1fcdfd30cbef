// Where the pairs that are chosen in a form can be looked at.

// `value` is that of a choice: "artifact:12", "run:9" (pairs that a run is still to leave) or "".
// The pages have /0/ where the id belongs; without a choice there is the list of all pairs.
export function addressOf(value, { page, run, all }) {
  const [table, id] = value.split(":");
  const pattern = { artifact: page, run }[table];
  return pattern && /^\d+$/.test(id) ? pattern.replace("/0/", `/${id}/`) : all;
}
