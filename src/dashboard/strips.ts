/**
 * A picture that moves to the left without end. It hangs on canvases narrower than the plot, which
 * the compositor moves; only the one at the right edge is painted. One wide canvas would be copied
 * whole on every frame, which was half of what the page cost without a GPU.
 */
import { h } from './dom.js';

/** About this many strips fill the plot; the copy of a frame shrinks by it, layers grow by it. */
const stripsShown = 8;
/** What was drawn last is drawn again: its line had no sample beyond the edge to go to. */
const redonePx = 2;

interface Strip {
  readonly canvas: HTMLCanvasElement;
  readonly context: CanvasRenderingContext2D;
  /** Device pixels from the picture's origin. */
  fromPx: number;
}

/** Draw from `fromPx` to `toPx` of the picture; `x = 0` of the context is the picture's `zeroPx`. */
export type Draw = (
  context: CanvasRenderingContext2D,
  range: { readonly fromPx: number; readonly toPx: number; readonly zeroPx: number },
) => void;

export class Strips {
  readonly element: HTMLElement;
  readonly #belt = h('div', { class: 'belt' });
  #strips: Strip[] = [];
  #widthPx = 1;
  #heightPx = 1;
  #stripPx = 1;
  /** What is drawn ends here; undefined: nothing is. */
  #drawnPx: number | undefined;

  constructor(label: string) {
    this.element = h('div', { class: 'strips', role: 'img', 'aria-label': label }, this.#belt);
    new ResizeObserver(() => this.#resize()).observe(this.element);
  }

  /** Device pixels. */
  get widthPx(): number {
    return this.#widthPx;
  }

  get heightPx(): number {
    return this.#heightPx;
  }

  /** Draw all of it at the next move. */
  invalidate(): void {
    this.#drawnPx = undefined;
  }

  /**
   * Let the picture end at `edgePx`, a whole number of device pixels from its origin. It waits
   * rather than go back a little, and is drawn anew where it goes far.
   */
  move(edgePx: number, draw: Draw): void {
    const drawn = this.#drawnPx;
    const byPx = edgePx - (drawn ?? 0);
    if (drawn !== undefined && byPx <= 0 && byPx > -this.#stripPx) return;
    const isOther = drawn === undefined || byPx < 0 || byPx >= this.#widthPx;
    if (isOther) this.#hang(edgePx - this.#widthPx);
    else this.#recycle(edgePx);
    const fromPx = isOther ? edgePx - this.#widthPx : drawn - redonePx;
    for (const strip of this.#strips) this.#paint(strip, fromPx, edgePx, draw);
    this.#drawnPx = edgePx;
    this.#shift(edgePx);
  }

  #paint(strip: Strip, fromPx: number, edgePx: number, draw: Draw): void {
    const from = Math.max(fromPx, strip.fromPx);
    const to = Math.min(edgePx, strip.fromPx + this.#stripPx);
    if (from >= to) return;
    const { context } = strip;
    context.save();
    context.beginPath();
    context.rect(from - strip.fromPx, 0, to - from, this.#heightPx);
    context.clip();
    draw(context, { fromPx: from, toPx: to, zeroPx: strip.fromPx });
    context.restore();
  }

  /** The first strip begins at `fromPx`. */
  #hang(fromPx: number): void {
    for (const [i, strip] of this.#strips.entries()) strip.fromPx = fromPx + i * this.#stripPx;
    this.#place();
  }

  /** Strips that have left the plot come back at its right. */
  #recycle(edgePx: number): void {
    let [first] = this.#strips;
    let isMoved = false;
    while (first !== undefined && first.fromPx + this.#stripPx <= edgePx - this.#widthPx) {
      first.fromPx += this.#strips.length * this.#stripPx;
      this.#strips.push(...this.#strips.splice(0, 1));
      [first] = this.#strips;
      isMoved = true;
    }
    if (isMoved) this.#place();
  }

  #place(): void {
    for (const [i, { canvas }] of this.#strips.entries())
      canvas.style.transform = `translateX(${(i * this.#stripPx) / window.devicePixelRatio}px)`;
  }

  #shift(edgePx: number): void {
    const zeroPx = this.#strips[0]?.fromPx ?? 0;
    const px = this.#widthPx - edgePx + zeroPx;
    this.#belt.style.transform = `translateX(${px / window.devicePixelRatio}px)`;
  }

  #resize(): void {
    const ratio = window.devicePixelRatio;
    const { width, height } = this.element.getBoundingClientRect();
    this.#widthPx = Math.max(1, Math.floor(width * ratio));
    this.#heightPx = Math.max(1, Math.round(height * ratio));
    this.#stripPx = Math.ceil(this.#widthPx / stripsShown);
    this.#strips = Array.from({ length: stripsShown + 1 }, () => this.#strip(ratio));
    this.#belt.replaceChildren(...this.#strips.map(({ canvas }) => canvas));
    this.invalidate();
  }

  #strip(ratio: number): Strip {
    const canvas = h('canvas', {
      width: String(this.#stripPx),
      height: String(this.#heightPx),
    });
    canvas.style.width = `${this.#stripPx / ratio}px`;
    canvas.style.height = `${this.#heightPx / ratio}px`;
    const context = canvas.getContext('2d', { alpha: false });
    if (context === null) throw new Error('this browser has no canvas');
    return { canvas, context, fromPx: 0 };
  }
}
