/** What uPlot charts of this page have in common: colours of the theme, size of their box. */
import uPlot from 'uplot';
import { cssColor } from './dom.js';

const font = '11px "Inter Variable", system-ui, sans-serif';

export function axis(over: uPlot.Axis): uPlot.Axis {
  return {
    font,
    stroke: () => cssColor('--muted'),
    grid: { stroke: () => cssColor('--grid'), width: 1 },
    ticks: { show: false },
    gap: 6,
    ...over,
  };
}

/** A chart that fills its box and follows its size. */
export class Chart {
  readonly plot: uPlot;

  constructor(
    box: HTMLElement,
    options: Omit<uPlot.Options, 'width' | 'height'>,
    data: uPlot.AlignedData,
  ) {
    box.replaceChildren();
    this.plot = new uPlot(
      {
        legend: { show: false },
        cursor: { show: false },
        padding: [8, 22, 0, 0],
        ...options,
        width: box.clientWidth || 300,
        height: box.clientHeight || 160,
      },
      data,
      box,
    );
    new ResizeObserver(() => {
      if (box.clientWidth > 0 && box.clientHeight > 0)
        this.plot.setSize({ width: box.clientWidth, height: box.clientHeight });
    }).observe(box);
  }

  redraw(): void {
    this.plot.redraw(false, true);
  }
}
