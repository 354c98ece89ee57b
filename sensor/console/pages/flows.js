// The flows of now.

import { h } from '../dom.js';
import { query } from '../api.js';
import { empty, panel, resource, sortHeading } from '../parts.js';
import { flowTable } from './flow_table.js';

const EVERY = 2000;
const LIMITS = [50, 200, 500];

export function flows({ search, update }) {
  let sort = 'score';
  let host = search.get('host') ?? '';
  let limit = LIMITS[0];
  let paused = false;
  const list = resource(update);
  const load = () => list.load(query('api/v1/flows', { host, sort, limit }), paused ? 0 : EVERY);
  const change = (values) => {
    ({ sort = sort, host = host, limit = limit, paused = paused } = values);
    load();
    update();
  };

  load();
  return {
    title: 'Flows',
    stop: list.stop,
    view: () => [
      h(
        'div',
        { class: 'page-head' },
        h('h1', {}, 'Flows'),
        h('input', {
          type: 'search',
          placeholder: 'Host  /',
          'aria-label': 'Flows of one host',
          value: host,
          onchange: (event) => change({ host: event.target.value.trim() }),
        }),
        h(
          'label',
          { class: 'inline' },
          h('span', { class: 'hidden' }, 'How many'),
          h(
            'select',
            { onchange: (event) => change({ limit: Number(event.target.value) }) },
            LIMITS.map((value) => h('option', { value, selected: value === limit }, `${value} flows`)),
          ),
        ),
        h(
          'button',
          { type: 'button', 'aria-pressed': String(paused), onclick: () => change({ paused: !paused }) },
          paused ? 'Go on' : 'Pause',
        ),
      ),
      panel(
        ['Now', h('span', { class: 'quiet' }, paused ? 'paused' : `refreshed every ${EVERY / 1000} s`)],
        list.show(
          (data) =>
            data.items.length
              ? flowTable(data.items, (text, by) => sortHeading(text, sort === by, () => change({ sort: by })))
              : empty(
                  host ? `No flow of ${host} now` : 'No flow now',
                  'Flows appear here within a second of their first packet.',
                ),
          8,
        ),
      ),
    ],
  };
}
