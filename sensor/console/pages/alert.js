// One alert: what happened, what to do, why the sensor thinks so, and the packets that show it.

import { h } from '../dom.js';
import { path } from '../api.js';
import { acknowledge, button, reopen, resolve } from '../actions.js';
import { ago, bytes, count, duration, endpoint, figure, local, measured, percent, rarity, wordsOf, when } from '../format.js';
import { alertLink, empty, facts, hostLink, incidentLink, panel, prose, resource, table } from '../parts.js';
import { alertState, severity, sourceOf } from '../severity.js';
import { state } from '../state.js';

const PACKETS_SHOWN = 100;
// Of the score; smaller parts explain nothing.
const SMALLEST_SHARE = 0.005;

export function detail({ id, update }) {
  const url = path('alerts', id);
  const own = resource(update);
  const packets = resource(update);
  const similar = resource(update);
  own.load(url);
  packets.load(`${url}/packets`);
  similar.load(`${url}/similar`);

  return {
    id,
    alert: () => own.data,
    take(alert) {
      if (alert.threat_id !== id || !own.data) return;
      if (alert.state !== own.data.state) similar.load(`${url}/similar`);
      own.data = alert;
    },
    stop() {
      own.stop();
      packets.stop();
      similar.stop();
    },
    view: () =>
      h(
        'article',
        { class: 'alert-detail', key: id },
        h('a', { class: 'back', href: '#/alerts' }, '← All alerts'),
        own.show(
          (alert) => [
            head(alert),
            advice(alert, similar),
            why(alert),
            what(alert),
            neighbours(alert),
            story(alert),
            evidence(alert, packets),
          ],
          8,
        ),
      ),
  };
}

function head(alert) {
  const { details } = alert;
  const open = alert.state === 'open';
  const resolved = alert.state === 'resolved';
  return h(
    'section',
    { class: `panel alert-head ${alert.severity}`, 'aria-labelledby': 'alert-title', key: 'head' },
    h(
      'div',
      { class: 'alert-line' },
      severity(alert.severity),
      alertState(alert),
      h('span', { class: 'mono quiet' }, alert.threat_id),
      h('span', { class: 'spring' }),
      when(alert.timestamp),
      h('span', { class: 'quiet' }, `(${ago(details.last_seen || alert.timestamp)})`),
    ),
    h(
      'h2',
      { id: 'alert-title' },
      alert.threat_type,
      h('span', { class: 'quiet' }, ' from '),
      alert.source_ip ? hostLink(alert.source_ip) : sourceOf(alert),
      alert.destination_ip
        ? [
            h('span', { class: 'quiet' }, ' to '),
            hostLink(alert.destination_ip),
            alert.destination_port ? h('span', { class: 'mono' }, `:${alert.destination_port}`) : null,
          ]
        : h('span', { class: 'quiet' }, alert.source_ip ? ' to many hosts' : ''),
    ),
    h('p', { class: 'narrative' }, details.narrative),
    h(
      'div',
      { class: 'actions' },
      open ? button('Acknowledge', () => acknowledge(alert), { primary: true, shortcut: 'a' }) : null,
      resolved
        ? button('Reopen', () => reopen(alert))
        : button('Resolve', () => resolve(alert), { shortcut: 'r', primary: !open }),
    ),
  );
}

function advice(alert, similar) {
  const { recommendation } = alert;
  const best = recommendation
    ? h(
        'div',
        { class: 'advice' },
        h('p', { class: 'advice-action' }, prose(recommendation.action, alert)),
        h(
          'p',
          { class: 'quiet' },
          'worked in ',
          incidentLink(recommendation.incident_id),
          ` · ${percent(recommendation.similarity)} alike · confidence ${percent(recommendation.confidence)}`,
        ),
      )
    : alert.incident_id
      ? h('p', {}, 'What was done is kept as ', incidentLink(alert.incident_id), ' and is recommended next time.')
      : h(
          'p',
          { class: 'quiet' },
          'No past incident is like this one yet. When you resolve it, write what helped: the sensor will say it next time.',
        );
  const others = similar.show((data) => {
    const rest = (data.items ?? [])
      .filter((item) => ![recommendation?.incident_id, alert.incident_id].includes(item.incident.id))
      .slice(0, 5);
    if (!rest.length) return null;
    return [
      h('h3', {}, 'Also alike'),
      h(
        'ul',
        { class: 'plain-list' },
        rest.map((item) =>
          h(
            'li',
            {},
            incidentLink(item.incident.id),
            ' ',
            item.incident.title || item.incident.symptom,
            h(
              'span',
              { class: 'quiet' },
              ` · ${percent(item.similarity)} alike${item.incident.worked ? `, worked ${item.incident.worked}×` : ''}${item.incident.failed ? `, failed ${item.incident.failed}×` : ''}`,
            ),
          ),
        ),
      ),
    ];
  }, 1);
  return panel('What to do', best, others);
}

function why(alert) {
  const { details } = alert;
  const shares = (details.explanation ?? []).filter((share) => share.share >= SMALLEST_SHARE);
  const often = rarity(details.score, details.threshold, state.status?.model.budget_per_hour);
  // What the counters say has no threshold.
  const scored = details.threshold > 0;
  return panel(
    [
      'Why',
      scored
        ? h(
            'span',
            { class: 'quiet number' },
            `${often ? `ordinary traffic: ${often} · ` : ''}score ${figure(details.score)}, alerts above ${figure(details.threshold)} · confidence ${percent(alert.confidence)}`,
          )
        : null,
    ],
    shares.length
      ? h(
          'table',
          { class: 'why' },
          h(
            'thead',
            {},
            h(
              'tr',
              {},
              ['What was unusual', 'Seen', 'Expected', 'Share of the score'].map((text, at) =>
                h('th', { scope: 'col', class: at === 1 || at === 2 ? 'right' : '' }, text),
              ),
            ),
          ),
          h(
            'tbody',
            {},
            shares.map((share) =>
              h(
                'tr',
                {},
                h('th', { scope: 'row' }, wordsOf(share)),
                h(
                  'td',
                  {
                    class: 'right number seen',
                    title:
                      share.accepted === undefined
                        ? null
                        : `${measured(share.accepted, share.unit)} would have passed, all else as it was`,
                  },
                  share.feature === 'other' ? '' : measured(share.value, share.unit),
                ),
                h(
                  'td',
                  { class: 'right number quiet expected' },
                  share.feature === 'other' ? '' : measured(share.expected, share.unit),
                ),
                h(
                  'td',
                  {},
                  h(
                    'span',
                    { class: 'share' },
                    h('span', { class: 'share-bar', part: share.share, 'aria-hidden': 'true' }),
                    h('span', { class: 'number' }, percent(share.share)),
                  ),
                ),
              ),
            ),
          ),
        )
      : h('p', { class: 'quiet' }, 'A rule saw this, not the score: what it saw is said above.'),
  );
}

function what(alert) {
  const { details } = alert;
  const tunnel = details.tunnel
    ? Object.entries(details.tunnel)
        .filter(([, value]) => value !== null && typeof value !== 'object')
        .map(([name, value]) => `${name} ${value}`)
        .join(', ')
    : null;
  return panel(
    'What was seen',
    facts([
      ['From', endpoint(sourceOf(alert), alert.source_port)],
      ['To', endpoint(alert.destination_ip, alert.destination_port)],
      ['Protocol', alert.protocol],
      ['Packets', count(details.packet_count)],
      ['Bytes', bytes(details.total_bytes)],
      ['Lasted', duration(details.duration)],
      ['First seen', when(details.first_seen)],
      ['Last seen', when(details.last_seen)],
      ['Windows', count(details.count)],
      ['TCP flags', (details.flags ?? []).join(' ')],
      ['ATT&CK', (details.mitre ?? []).join(' ')],
      ['Judged by', details.member],
      ['Model', details.model_used],
      ['MAC address', details.source_mac],
      ['Tunnel', tunnel],
      ['Community ID', details.community_id ? h('code', {}, details.community_id) : null],
    ]),
  );
}

function neighbours(alert) {
  const alike = alert.details.neighbours ?? [];
  if (!alike.length) return null;
  return panel(
    'Looked alike before',
    h(
      'ul',
      { class: 'plain-list' },
      alike.map((one) =>
        h(
          'li',
          {},
          alertLink(one.threat_id),
          ` ${one.threat_type} `,
          when(one.timestamp),
          h('span', { class: 'quiet' }, ` · ${percent(one.similarity)} alike`),
        ),
      ),
    ),
  );
}

function evidence(alert, packets) {
  const download = h(
    'a',
    {
      class: 'button',
      href: `${path('alerts', alert.threat_id)}/evidence`,
      download: `${alert.threat_id.replace(/[^A-Za-z0-9_-]/g, '_')}.pcapng`,
    },
    'Download pcapng',
  );
  const has = packets.data?.items?.length > 0;
  return panel(
    ['Packets', has ? download : null],
    packets.show((data) => {
      if (!data.items.length)
        return empty('No packet was kept', 'Only sampled packets are, and the oldest give way to newer ones.');
      const first = Date.parse(data.items[0].time);
      return [
        h('div', { class: 'replay' }, replay(data.items, alert)),
        table(
          'Sampled packets',
          [
            [
              'Time',
              'number',
              (packet) => h('span', { title: packet.time }, offset(Date.parse(packet.time) - first, packet.time)),
            ],
            ['From', 'mono', (packet) => h('bdi', {}, packet.source)],
            ['To', 'mono', (packet) => h('bdi', {}, packet.destination)],
            ['Protocol', '', (packet) => packet.protocol],
            ['Length', 'right number', (packet) => count(packet.length)],
            ['Summary', 'grow mono', (packet) => packet.summary],
          ],
          data.items.slice(0, PACKETS_SHOWN),
        ),
        data.items.length > PACKETS_SHOWN ? h('p', { class: 'quiet pad' }, 'The rest is in the download.') : null,
      ];
    }),
  );
}

function offset(milliseconds, time) {
  return Number.isFinite(milliseconds) ? `+${(milliseconds / 1000).toFixed(3)}\u00a0s` : local(time);
}

// The packets on a line of time: above it those of the source, below it the answers.
function replay(items, alert) {
  const times = items.map((packet) => Date.parse(packet.time));
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const x = (time) => 4 + ((time - first) / Math.max(1, last - first)) * 992;
  const longest = Math.max(...items.map((packet) => packet.length), 1);
  return h(
    'svg',
    {
      viewBox: '0 0 1000 64',
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': `${items.length} sampled packets within ${duration((last - first) / 1000)}`,
    },
    h('line', { class: 'axis', x1: 0, x2: 1000, y1: 32, y2: 32 }),
    items.map((packet, at) => {
      const out = alert.source_ip === '' || String(packet.source).includes(alert.source_ip);
      const tall = 6 + 24 * Math.sqrt(packet.length / longest);
      return h(
        'line',
        {
          class: out ? 'out' : 'back-way',
          x1: x(times[at]),
          x2: x(times[at]),
          y1: 32,
          y2: out ? 32 - tall : 32 + tall,
        },
        h('title', {}, `${packet.summary}`),
      );
    }),
  );
}

function story(alert) {
  const resolution = typeof alert.resolution === 'string' ? { action: alert.resolution } : (alert.resolution ?? {});
  const steps = [
    [alert.details.first_seen, 'First packet', null],
    [alert.timestamp, 'Alert raised', null],
    [alert.acknowledged_at, `Acknowledged by ${alert.acknowledged_by || 'somebody'}`, null],
    [
      alert.resolved_at,
      `${resolution.false_positive ? 'Resolved as a false alarm' : 'Resolved'} by ${alert.resolved_by || 'somebody'}`,
      [
        resolution.action && `Done: ${resolution.action}`,
        resolution.root_cause && `Cause: ${resolution.root_cause}`,
        resolution.note,
      ].filter(Boolean),
    ],
  ].filter(([time]) => time);
  return panel(
    'Story',
    h(
      'ol',
      { class: 'story' },
      steps.map(([time, text, more]) =>
        h(
          'li',
          {},
          when(time),
          h(
            'div',
            {},
            text,
            (more ?? []).map((line) => h('p', { class: 'quiet' }, line)),
          ),
        ),
      ),
      alert.incident_id ? h('li', {}, h('span', {}), h('div', {}, 'Kept as ', incidentLink(alert.incident_id))) : null,
    ),
  );
}
