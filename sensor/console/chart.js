// A chart of one quantity over time, in SVG. Charts of a board share the cursor and the zoom. Seconds for which
// there is no point are shown as a gap, never bridged: not having looked is not the same as zero.

import { h } from './dom.js';
import { clock, day, local } from './format.js';

const PLOT = { left: 46, right: 8, top: 8, bottom: 20, height: 112 };
const SMALLEST_ZOOM = 10_000;
// A point is missing when the next one comes later than so many steps.
const GAP = 2.5;

export class Board {
  constructor(changed = () => {}) {
    this.charts = new Set();
    this.cursor = null;
    this.zoom = null;
    this.range = [Date.now() - 600_000, Date.now()];
    this.changed = changed;
  }

  shown() {
    return this.zoom ?? this.range;
  }

  point(time) {
    this.cursor = time;
    for (const chart of this.charts) chart.drawCursor();
  }

  zoomTo(range) {
    this.zoom = range;
    for (const chart of this.charts) chart.draw();
    this.changed();
  }
}

export class Chart {
  // `kind` is 'line' or 'bars', `format` makes a value readable, `mark` is a level to draw.
  constructor(board, { key, title, format, kind = 'line', tone = 'accent', mark = null, least = 0 }) {
    Object.assign(this, { board, key, title, format, kind, tone, mark, least, points: [], step: 1, width: 0 });
    board.charts.add(this);
  }

  // The place of this chart in a page's tree.
  slot() {
    return h('div', {
      class: `chart ${this.tone}`,
      own: { key: `chart-${this.key}`, mount: (node) => this.mount(node) },
    });
  }

  mount(node) {
    this.readout = h('output', { class: 'chart-now number' });
    this.frame = h('div', { class: 'chart-frame' });
    node.append(h('div', { class: 'chart-head' }, h('h3', {}, this.title), this.readout), this.frame);
    this.svg = null;
    this.width = Math.max(160, this.frame.clientWidth);
    new ResizeObserver(() => {
      const width = Math.max(160, Math.floor(this.frame.clientWidth));
      if (width !== this.width) {
        this.width = width;
        this.draw();
      }
    }).observe(this.frame);
    this.draw();
  }

  // `points` are {time (ms), value}, oldest first, `step` seconds apart.
  update(points, step) {
    this.points = points;
    this.step = step;
    if (this.frame) this.draw();
  }

  x(time) {
    const [from, to] = this.board.shown();
    return PLOT.left + ((time - from) / (to - from)) * (this.width - PLOT.left - PLOT.right);
  }

  y(value) {
    return PLOT.top + (1 - value / this.top) * (PLOT.height - PLOT.top - PLOT.bottom);
  }

  timeAt(x) {
    const [from, to] = this.board.shown();
    return from + ((x - PLOT.left) / (this.width - PLOT.left - PLOT.right)) * (to - from);
  }

  inView() {
    const [from, to] = this.board.shown();
    const edge = this.step * 1000;
    return this.points.filter((point) => point.time >= from - edge && point.time <= to + edge);
  }

  draw() {
    if (!this.frame) return;
    const points = this.inView().filter((point) => point.value !== null && point.value !== undefined);
    const largest = points.reduce((most, point) => Math.max(most, point.value), Math.max(this.least, this.mark ?? 0));
    this.top = roundUp(largest);
    const latest = points[points.length - 1];
    const svg = h(
      'svg',
      {
        class: 'plot',
        viewBox: `0 0 ${this.width} ${PLOT.height}`,
        width: this.width,
        height: PLOT.height,
        role: 'img',
        tabindex: '0',
        'aria-label': `${this.title}: now ${latest ? this.format(latest.value) : 'no data'}, at most ${this.format(largest)}. Arrow keys read single values.`,
        onpointermove: (event) => this.move(event),
        onpointerleave: () => this.drag ?? this.board.point(null),
        onpointerdown: (event) => this.press(event),
        onpointerup: (event) => this.release(event),
        ondblclick: () => this.board.zoomTo(null),
        onkeydown: (event) => this.key_(event),
        onblur: () => this.board.point(null),
      },
      this.grid(),
      this.gaps(points),
      this.markLine(),
      this.kind === 'bars' ? this.bars(points) : this.line(points),
      (this.selection = h('rect', {
        class: 'selection',
        y: PLOT.top,
        height: PLOT.height - PLOT.top - PLOT.bottom,
        width: 0,
      })),
      (this.cursorLine = h('line', {
        class: 'cursor',
        y1: PLOT.top,
        y2: PLOT.height - PLOT.bottom,
        visibility: 'hidden',
      })),
      (this.cursorDot = h('circle', { class: 'dot', r: 3, visibility: 'hidden' })),
    );
    const focused = this.svg && this.svg === document.activeElement;
    if (this.svg) this.svg.replaceWith(svg);
    else this.frame.append(svg);
    this.svg = svg;
    if (focused) svg.focus();
    this.drawCursor();
    if (this.drag) this.drawSelection();
  }

  grid() {
    const [from, to] = this.board.shown();
    const bottom = PLOT.height - PLOT.bottom;
    const levels = [0, this.top / 2, this.top].map((value) => [
      h('line', { class: 'grid', x1: PLOT.left, x2: this.width - PLOT.right, y1: this.y(value), y2: this.y(value) }),
      h(
        'text',
        { class: 'tick', x: PLOT.left - 6, y: this.y(value) + 3.5, 'text-anchor': 'end' },
        this.format(value)
          .replace(/\u00a0?(B\/s|\/s)$/, '')
          .replace(/B$/, ''),
      ),
    ]);
    const times = ticks(from, to, Math.max(2, Math.floor(this.width / 75)));
    return [
      levels,
      times.map((time) => [
        h('line', { class: 'grid', x1: this.x(time), x2: this.x(time), y1: bottom, y2: bottom + 3 }),
        h(
          'text',
          { class: 'tick', x: this.x(time), y: PLOT.height - 5, 'text-anchor': 'middle' },
          to - from > 100_000_000 ? day(time).slice(5) : clock(time, to - from < 180_000),
        ),
      ]),
    ];
  }

  // From the first to the last point only: before the first the sensor may simply not have existed.
  gaps(points) {
    const limit = this.step * 1000 * GAP;
    const found = [];
    for (let at = 1; at < points.length; at += 1) {
      const [from, to] = [points[at - 1].time, points[at].time];
      if (to - from <= limit) continue;
      found.push(
        h(
          'rect',
          {
            class: 'gap',
            x: this.x(from),
            width: Math.max(1, this.x(to) - this.x(from)),
            y: PLOT.top,
            height: PLOT.height - PLOT.top - PLOT.bottom,
          },
          h('title', {}, `no data from ${clock(from)} to ${clock(to)}`),
        ),
      );
    }
    return found;
  }

  markLine() {
    if (this.mark === null) return null;
    return h('line', {
      class: 'mark',
      x1: PLOT.left,
      x2: this.width - PLOT.right,
      y1: this.y(this.mark),
      y2: this.y(this.mark),
    });
  }

  line(points) {
    const limit = this.step * 1000 * GAP;
    const bottom = this.y(0).toFixed(1);
    let line = '';
    let area = '';
    let start = null;
    points.forEach((point, at) => {
      const x = this.x(point.time).toFixed(1);
      const y = this.y(point.value).toFixed(1);
      const begins = at === 0 || point.time - points[at - 1].time > limit;
      if (begins && start !== null) area += `L${this.x(points[at - 1].time).toFixed(1)} ${bottom}Z`;
      if (begins) start = x;
      line += `${begins ? 'M' : 'L'}${x} ${y}`;
      area += begins ? `M${x} ${bottom}L${x} ${y}` : `L${x} ${y}`;
    });
    if (points.length) area += `L${this.x(points[points.length - 1].time).toFixed(1)} ${bottom}Z`;
    return [h('path', { class: 'area', d: area }), h('path', { class: 'line', d: line })];
  }

  bars(points) {
    const [from, to] = this.board.shown();
    const wide = Math.max(2, ((this.step * 1000) / (to - from)) * (this.width - PLOT.left - PLOT.right) - 0.5);
    const bottom = this.y(0);
    const shown = points
      .filter((point) => point.value > 0)
      .map((point) => {
        const top = Math.min(this.y(point.value), bottom - 2);
        return `M${(this.x(point.time) - wide / 2).toFixed(1)} ${bottom.toFixed(1)}V${top.toFixed(1)}h${wide.toFixed(1)}V${bottom.toFixed(1)}Z`;
      });
    return h('path', { class: 'bar', d: shown.join('') });
  }

  nearest(time) {
    let best = null;
    for (const point of this.points) {
      if (best === null || Math.abs(point.time - time) < Math.abs(best.time - time)) best = point;
    }
    return best && Math.abs(best.time - time) <= this.step * 1000 * GAP ? best : null;
  }

  drawCursor() {
    if (!this.svg) return;
    const time = this.board.cursor;
    const visible = time === null ? 'hidden' : 'visible';
    this.cursorLine.setAttribute('visibility', visible);
    const point = time === null ? this.points[this.points.length - 1] : this.nearest(time);
    const value = point?.value ?? null;
    this.readout.textContent = `${value === null ? 'no data' : this.format(value)}${time === null ? '' : `  ${local(new Date(time).toISOString())}`}`;
    const dot = time !== null && value !== null;
    this.cursorDot.setAttribute('visibility', dot ? 'visible' : 'hidden');
    if (time === null) return;
    this.cursorLine.setAttribute('x1', this.x(time));
    this.cursorLine.setAttribute('x2', this.x(time));
    if (dot) {
      this.cursorDot.setAttribute('cx', this.x(point.time));
      this.cursorDot.setAttribute('cy', this.y(value));
    }
  }

  at(event) {
    const box = this.svg.getBoundingClientRect();
    const x = (event.clientX - box.left) * (this.width / box.width);
    return this.timeAt(Math.min(this.width - PLOT.right, Math.max(PLOT.left, x)));
  }

  move(event) {
    const time = this.at(event);
    if (this.drag) {
      this.drag.to = time;
      this.drawSelection();
    }
    this.board.point(time);
  }

  press(event) {
    if (event.button !== 0 || event.pointerType === 'touch') return;
    this.drag = { from: this.at(event), to: this.at(event) };
    event.preventDefault();
    this.svg.setPointerCapture(event.pointerId);
  }

  release() {
    const drag = this.drag;
    this.drag = null;
    this.selection.setAttribute('width', 0);
    if (!drag) return;
    const range = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)];
    const [from, to] = this.board.shown();
    if (range[1] - range[0] >= Math.max(SMALLEST_ZOOM, (to - from) / 100)) this.board.zoomTo(range);
  }

  drawSelection() {
    const [from, to] = [this.x(Math.min(this.drag.from, this.drag.to)), this.x(Math.max(this.drag.from, this.drag.to))];
    this.selection.setAttribute('x', from);
    this.selection.setAttribute('width', to - from);
  }

  key_(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === 'Escape' && this.board.zoom) {
      this.board.zoomTo(null);
    } else if (step && this.points.length) {
      const current =
        this.board.cursor === null ? this.points.length : this.points.indexOf(this.nearest(this.board.cursor));
      const next = this.points[Math.min(this.points.length - 1, Math.max(0, current + step))];
      this.board.point(next.time);
      event.preventDefault();
    }
  }
}

function roundUp(value) {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 6, 8, 10].map((step) => step * unit).find((step) => step >= value * 1.0001) ?? 10 * unit;
}

const TICKS = [
  5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
];

// Round local times, so many at most.
function ticks(from, to, most) {
  const step = (TICKS.find((seconds) => (to - from) / (seconds * 1000) <= most) ?? 604_800) * 1000;
  const shift = new Date(from).getTimezoneOffset() * 60_000;
  const found = [];
  for (let time = Math.ceil((from - shift) / step) * step + shift; time < to; time += step) {
    if (time - from > (to - from) * 0.03 && to - time > (to - from) * 0.03) found.push(time);
  }
  return found;
}
