// A table of flows, as the flow page and the host page show it.

import { h } from '../dom.js';
import { ago, bytes, bytesPerSecond, count, figure, perSecond, rarity, when } from '../format.js';
import { hostLink, table } from '../parts.js';
import { shape } from '../severity.js';
import { state } from '../state.js';

const keyOf = (flow) =>
  [flow.source_ip, flow.source_port, flow.destination_ip, flow.destination_port, flow.protocol].join(' ');
const end = (address, port) => [hostLink(address), port ? h('span', { class: 'quiet mono' }, `:${port}`) : null];

export function flowTable(items, heading = (text) => text) {
  return table(
    'Flows',
    [
      ['From', 'mono', (flow) => end(flow.source_ip, flow.source_port)],
      ['To', 'mono', (flow) => end(flow.destination_ip, flow.destination_port)],
      ['Protocol', '', (flow) => flow.protocol],
      [heading('Score', 'score'), 'right number', score],
      [
        heading('Packets', 'packets'),
        'right number',
        (flow) => h('span', { title: `${count(flow.packets)} in all` }, perSecond(flow.packets_per_second)),
      ],
      [
        heading('Bytes', 'bytes'),
        'right number',
        (flow) => h('span', { title: `${bytes(flow.bytes)} in all` }, bytesPerSecond(flow.bytes_per_second)),
      ],
      ['In all', 'right number', (flow) => bytes(flow.bytes)],
      ['Since', 'right', (flow) => when(flow.first_seen)],
      ['Latest', 'right', (flow) => when(flow.last_seen, ago)],
    ],
    items,
    (flow) => ({ key: keyOf(flow), class: above(flow) ? 'above' : null }),
  );
}

const above = (flow) => flow.score !== null && flow.threshold > 0 && flow.score > flow.threshold;

function score(flow) {
  if (flow.score === null || flow.score === undefined) return h('span', { class: 'quiet' }, '–');
  const often = rarity(flow.score, flow.threshold, state.status?.model.budget_per_hour);
  const title = often ? `ordinary traffic: ${often}; alerts above ${figure(flow.threshold)}` : null;
  return h('span', { title }, above(flow) ? [shape('high'), ' '] : null, figure(flow.score));
}
