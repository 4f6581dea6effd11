/** What came at once is painted within so many frames: at 60 Hz the last of it is 34 ms later than the first. */
export const FRAMES = 3
/** So few are painted at once: they fit into one frame with room to spare. */
export const AT_ONCE = 50

/**
 * Deals out what changed over the next frames, so that none of them takes long. Everybody has a place and is taken once for
 * all that changed since it was taken last; who just had a turn comes last, so a stream of changes starves nobody.
 */
export class Turns {
  private readonly waits: Uint8Array
  private at = 0
  private share = 0
  waiting = 0

  constructor(count: number) {
    this.waits = new Uint8Array(count)
  }

  add(place: number): void {
    if (this.waits[place] !== 0) return
    this.waits[place] = 1
    this.waiting += 1
  }

  /** The places whose turn this frame is. */
  take(): number[] {
    this.share = Math.max(this.share, AT_ONCE, Math.ceil(this.waiting / FRAMES))
    const taken: number[] = []
    while (this.waiting && taken.length < this.share) {
      if (this.waits[this.at]) {
        this.waits[this.at] = 0
        this.waiting -= 1
        taken.push(this.at)
      }
      this.at = (this.at + 1) % this.waits.length
    }
    if (!this.waiting) this.share = 0
    return taken
  }
}
