// Who talks now.

import { encoded, h } from '../dom.js';
import { query } from '../api.js';
import { bytesPerSecond, count, figure, perSecond } from '../format.js';
import { empty, hostLink, panel, resource, sortHeading, table } from '../parts.js';
import { shape } from '../severity.js';

const EVERY = 2000;
const MOST = 200;

export function hosts({ update }) {
  let sort = 'score';
  let words = '';
  const list = resource(update);
  const load = () => list.load(query('api/v1/hosts', { sort, limit: MOST }), EVERY);
  const heading = (text, by) =>
    sortHeading(text, sort === by, () => {
      sort = by;
      load();
      update();
    });

  function rows(data) {
    const items = data.items.filter((item) => item.address.includes(words));
    if (!items.length)
      return empty(
        words ? 'No host of now is like that' : 'No host talks now',
        words
          ? 'Enter opens the page of an address, whether it talks now or not.'
          : 'Hosts appear here within a second of their first packet.',
      );
    return table(
      'Hosts',
      [
        ['Host', '', (item) => hostLink(item.address)],
        [heading('Score', 'score'), 'right number', (item) => figure(item.score)],
        ['Packets', 'right number', (item) => perSecond(item.packets_per_second)],
        [heading('Bytes', 'bytes'), 'right number', (item) => bytesPerSecond(item.bytes_per_second)],
        [heading('Flows', 'flows'), 'right number', (item) => count(item.flows)],
        ['Peers', 'right number', (item) => count(item.peers)],
        ['Alerts', 'right number', (item) => (item.alerts ? [shape('high'), ` ${count(item.alerts)}`] : '0')],
      ],
      items,
      (item) => ({ key: item.address }),
    );
  }

  load();
  return {
    title: 'Hosts',
    stop: list.stop,
    view: () => [
      h(
        'div',
        { class: 'page-head' },
        h('h1', {}, 'Hosts'),
        h(
          'form',
          {
            onsubmit: (event) => {
              event.preventDefault();
              if (words) location.hash = `#/hosts/${encoded(words)}`;
            },
          },
          h('input', {
            type: 'search',
            placeholder: 'Address  /',
            'aria-label': 'Find a host by address',
            oninput: (event) => {
              words = event.target.value.trim();
              update();
            },
          }),
        ),
      ),
      panel(
        ['Now', h('span', { class: 'quiet' }, `the ${MOST} foremost, refreshed every ${EVERY / 1000} s`)],
        list.show(rows, 8),
      ),
    ],
  };
}
