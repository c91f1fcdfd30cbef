// One voting tab per person and browser: two would hold leases against each other.

/**
 * Calls `onHeld` when this tab may vote and `onLost` when another tab took over.
 * Returns {held, takeOver()}: without Web Locks (plain http on a network) every tab may vote, and
 * the site's own rules keep the votes apart.
 */
export async function claimVoting(name, { onHeld, onLost }) {
  if (!navigator.locks) {
    onHeld();
    return { takeOver: () => {} };
  }
  const hold = (options) =>
    new Promise((resolve) => {
      navigator.locks
        .request(name, options, (lock) => {
          resolve(lock !== null);
          if (lock === null) return undefined;
          onHeld();
          return new Promise(() => {}); // held until the tab goes or another one takes over
        })
        .catch(() => onLost());
    });
  if (!(await hold({ ifAvailable: true }))) onLost();
  return { takeOver: () => hold({ steal: true }) };
}
