// Frames of a clip as moments of its media clock, and waiting for a <video> to get there.

// Media clocks count microseconds: a moment this close before a frame belongs to it.
const ROUNDING = 1e-3; // frames

/** Number of the frame that covers `time`, from 0. */
export function frameAt(time, fps, frames) {
  return Math.max(0, Math.min(frames - 1, Math.floor(time * fps + ROUNDING)));
}

/** The middle of a frame: a seek there cannot fall into its neighbour. */
export const frameMiddle = (frame, fps) => (frame + 0.5) / fps;

const once = (target, ...names) =>
  new Promise((resolve) => {
    const gate = new AbortController();
    for (const name of names) {
      target.addEventListener(
        name,
        () => {
          gate.abort();
          resolve(name);
        },
        { signal: gate.signal },
      );
    }
  });

export async function seek(video, time) {
  if (Math.abs(video.currentTime - time) < 1e-4 && !video.ended) return;
  const arrived = once(video, "seeked", "error", "emptied");
  video.currentTime = time;
  await arrived;
}

/** The clip is there, but this browser cannot show it. */
export class Unplayable extends Error {
  constructor(video) {
    super("This browser cannot play the clip.");
    this.name = "Unplayable";
    this.video = video;
  }
}

export async function load(video, url) {
  const ready = once(video, "loadeddata", "error");
  video.src = url;
  video.load();
  if ((await ready) === "error") throw new Unplayable(video);
}
