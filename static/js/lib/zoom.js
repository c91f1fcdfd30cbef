// Looking at clips pixel by pixel. Pure.

/**
 * Device pixels per clip pixel: 1 where that is larger than the fitted picture; for clips that are
 * smaller than their pane the least whole number that still enlarges.
 */
export function pixelFactor(clip, pane, dpr) {
  const fitted = Math.min(pane.width / clip.width, pane.height / clip.height);
  return Math.max(1, Math.floor(fitted * dpr + 1e-6) + (fitted * dpr >= 1 ? 1 : 0));
}

/** Size in CSS pixels of a clip whose pixels are `factor` device pixels wide. */
export function magnified(clip, factor, dpr) {
  return { width: (clip.width * factor) / dpr, height: (clip.height * factor) / dpr };
}

/** The share of a picture's length that stands in the middle, kept so that no edge comes inside. */
export function withinEdges(centre, shown, pane) {
  if (shown <= pane) return 0.5;
  const half = pane / (2 * shown);
  return Math.min(1 - half, Math.max(half, centre));
}

/** Where the picture's left or upper edge lies in its pane. */
export const edgeOf = (centre, shown, pane) => pane / 2 - withinEdges(centre, shown, pane) * shown;
