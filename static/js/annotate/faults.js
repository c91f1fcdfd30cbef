// Clips that do not come or do not play: whose fault is it, and what follows.

import { gettext } from "../lib/i18n.js";

const MOST_IN_A_ROW = 2; // reports of clips before the browser itself is suspected
const H264 = 'video/mp4; codecs="avc1.42E01E"';

/**
 * Tells a broken clip from a browser or a connection that is at fault. Only a clip is reported to
 * the site, because a report takes it from everybody.
 */
export class Faults {
  constructor() {
    this.inARow = 0;
  }

  /** A pair played: what failed before was the clip's own fault. */
  played() {
    this.inARow = 0;
  }

  /**
   * Why a pair does not show. {side, text, isOfClip}: `side` 0 or 1; `isOfClip` when the clip is to
   * blame and may be reported.
   */
  judge(error, videos) {
    const missing = error.name === "ClipMissing";
    const unplayable = error.name === "Unplayable";
    const side = missing ? error.side : Math.max(0, videos.indexOf(error.video));
    const canPlay = videos[0].canPlayType(H264) !== "";
    const gone = missing && [404, 410].includes(error.status);
    const isOfClip = (gone || (unplayable && canPlay)) && this.inARow < MOST_IN_A_ROW;
    if (isOfClip) this.inARow += 1;
    return { side, isOfClip, text: this.#text({ unplayable, canPlay }) };
  }

  #text({ unplayable, canPlay }) {
    if (!canPlay) return gettext("This browser does not play H.264 video. Please vote in another browser.");
    if (unplayable) return gettext("A clip of this pair does not play in this browser.");
    return gettext("A clip of this pair could not be fetched.");
  }
}
