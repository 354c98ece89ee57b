// Numbers, sizes and times as people read them.

import { h } from './dom.js';

const STEPS = [
  [1e12, 'T'],
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
];

// Three significant figures with an SI prefix: 1.23 k.
export function si(value, unit = '') {
  if (value === null || value === undefined || !Number.isFinite(Number(value))) return '–';
  const number = Number(value);
  const size = Math.abs(number);
  const [divisor, prefix] = STEPS.find(([step]) => size >= step * 0.9995) ?? [1, ''];
  const shown = significant(number / divisor, prefix === '' && Number.isInteger(number));
  const tail = `${prefix}${unit}`;
  return tail ? `${shown}\u00a0${tail}` : shown;
}

function significant(number, whole) {
  const size = Math.abs(number);
  if (whole || size >= 99.95) return number.toFixed(0);
  if (size >= 9.995) return number.toFixed(1);
  if (size >= 0.01 || size === 0) return number.toFixed(size === 0 ? 0 : 2);
  return number.toPrecision(2);
}

export const bytes = (value) => si(value, 'B');
export const perSecond = (value) => si(value, '/s');
export const bytesPerSecond = (value) => si(value, 'B/s');

export function count(value) {
  return Number.isFinite(Number(value)) ? Number(value).toLocaleString('en-US') : '–';
}

export const plural = (number, word) => `${count(number)} ${word}${Number(number) === 1 ? '' : 's'}`;

export function percent(value, digits = 0) {
  return Number.isFinite(Number(value)) ? `${(Number(value) * 100).toFixed(digits)}\u00a0%` : '–';
}

export function figure(value) {
  const number = Number(value);
  if (value === null || value === undefined || !Number.isFinite(number)) return '–';
  if (number !== 0 && (Math.abs(number) >= 1e5 || Math.abs(number) < 1e-3)) return si(number);
  return String(Number(number.toPrecision(3)));
}

// A value of a feature in its unit.
export function measured(value, unit = '') {
  if (unit === 'yes/no') return value >= 0.5 ? 'yes' : value > 0.01 ? `${percent(value)} yes` : 'no';
  if (unit.startsWith('of ')) return `${percent(value)} ${unit}`;
  if (unit.startsWith('bytes')) return si(value, 'B') + unit.slice(5);
  return `${Math.abs(value) >= 1e4 ? si(value) : figure(value)}${unit ? `\u00a0${unit}` : ''}`;
}

// Seconds in a unit, and how many of them it takes to be the unit that is said.
const SPANS = [
  ['year', 31_536_000, 1],
  ['day', 86_400, 2],
  ['hour', 3600, 1],
  ['minute', 60, 2],
  ['second', 1, 0],
];

// How often ordinary traffic has such a score, in the words of the alerts: scores are decades of time, and the threshold is
// what ordinary traffic reaches `budget` times an hour.
export function rarity(score, threshold, budget) {
  if (!(threshold > 0 && budget > 0) || !Number.isFinite(score)) return null;
  const seconds = (3600 / budget) * 10 ** (score - threshold);
  const [unit, size] = SPANS.find(([, length, least]) => seconds >= length * least);
  const number = Math.max(1, Math.round(seconds / size));
  if (unit === 'year' && number > 1000) return 'practically never';
  return number > 1 ? `about once in ${number} ${unit}s` : `about once in a${unit === 'hour' ? 'n' : ''} ${unit}`;
}

// A feature's name as words: `bytes_out_above_usual` is "bytes out above usual".
export function wordsOf(share) {
  if (share.feature === 'other') return `${figure(share.value)} other features together`;
  if (share.feature === 'rule') return 'the measure of the rule';
  return String(share.feature).replaceAll('_', ' ');
}

export function duration(seconds) {
  const left = Math.max(0, Number(seconds) || 0);
  if (left < 1) return `${Math.round(left * 1000)}\u00a0ms`;
  if (left < 60) return `${left < 10 ? left.toFixed(1) : Math.round(left)}\u00a0s`;
  const parts = [
    [86400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ];
  const first = parts.findIndex(([size]) => left >= size);
  const [big, small] = [parts[first], parts[first + 1]];
  const rest = Math.floor((left % big[0]) / small[0]);
  return `${Math.floor(left / big[0])}\u00a0${big[1]}${rest ? ` ${rest}\u00a0${small[1]}` : ''}`;
}

const two = (number) => String(number).padStart(2, '0');

export function clock(time, seconds = true) {
  const date = new Date(time);
  return `${two(date.getHours())}:${two(date.getMinutes())}${seconds ? `:${two(date.getSeconds())}` : ''}`;
}

export function day(time) {
  const date = new Date(time);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

// Local time; today's without the date.
export function local(time) {
  const parsed = Date.parse(time);
  if (Number.isNaN(parsed)) return time ? String(time) : '–';
  return day(parsed) === day(Date.now()) ? clock(parsed) : `${day(parsed)} ${clock(parsed, false)}`;
}

export function ago(time) {
  const parsed = Date.parse(time);
  if (Number.isNaN(parsed)) return '–';
  const seconds = Math.max(0, (Date.now() - parsed) / 1000);
  const [size, unit] = [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ].find(([least]) => seconds >= least) ?? [0, ''];
  return size ? `${Math.floor(seconds / size)}\u00a0${unit} ago` : 'now';
}

// A time in the page: local, UTC when pointed at.
export function when(time, shown = local) {
  const parsed = Date.parse(time);
  if (Number.isNaN(parsed)) return h('span', { class: 'quiet' }, '–');
  const utc = new Date(parsed).toISOString();
  return h(
    'time',
    { datetime: utc, title: `${utc.replace('T', ' ').replace('Z', ' UTC')}`, class: 'number' },
    shown(time),
  );
}

// How long until the number in a host's name would break the line: an address never breaks inside.
export function endpoint(address, port) {
  if (!address) return 'many hosts';
  if (!port) return address;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
