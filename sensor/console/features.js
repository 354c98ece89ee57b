// Units of the features that explain a score, as in sensor/src/features/spec.rs; a test holds the two together.
// An alert is about a flow, a host or a MAC address, and the same name may have another unit there.

const FLOW = {
  'packets/s': 'packets_out packets_in',
  'bytes/s': 'bytes_out bytes_in',
  'bytes/packet': 'size_out size_in',
  'of bytes': 'share_out http_odd_path',
  'bits/byte': 'payload_entropy dns_name_entropy http_path_entropy',
  's': 'age',
  'yes/no': 'unanswered refused half_open is_tcp is_udp tls_old_version tls_nameless tls_missing_on_443',
  'connections': 'recent_connections recent_failed recent_short',
  'times': 'connections_above_usual bytes_out_above_usual',
  'nats': 'beacon_to_new_service new_source new_destination new_service new_port',
  'bytes': 'bytes_to_new_destination dns_name_length http_path_length',
  'deviations':
    'pair_rate_off_10s pair_rate_off_1m pair_rate_off_10m pair_rate_off_1h pair_size_off_10s pair_size_off_1m ' +
    'pair_size_off_10m pair_size_off_1h service_rate_off_10s service_rate_off_1m service_rate_off_10m ' +
    'service_rate_off_1h service_size_off_10s service_size_off_1m service_size_off_10m service_size_off_1h',
  'names': 'dns_names_10s',
  'names/min': 'dns_names dns_client_names',
  'bytes/min': 'dns_name_bytes dns_answer_bytes dns_hidden_bytes',
  'of questions': 'dns_unusual_types',
  'of answers': 'dns_no_such_name http_error_share',
  'parameters': 'http_parameters',
  'answers/min': 'http_errors',
  'score': 'web_attack_markers',
};

const HOST = {
  'connections/s': 'connections_out unanswered refused half_open connections_in incomplete_in refused_in',
  'hosts/s': 'peers sources',
  'ports/s': 'ports',
  'bits': 'port_entropy',
  'messages/s': 'unreachable',
  'targets': 'failed_targets_last_minute',
  'services/s': 'new_services',
  'packets/s': 'packets_out packets_in one_sided_out one_sided_in',
  'bytes/s': 'bytes_out bytes_in',
  'of bytes': 'share_out',
  'connections': 'recent_failed_out',
  'deviations':
    'sent_rate_off_10s sent_rate_off_1m sent_rate_off_10m sent_rate_off_1h sent_size_off_10s sent_size_off_1m ' +
    'sent_size_off_10m sent_size_off_1h received_rate_off_10s received_rate_off_1m received_rate_off_10m ' +
    'received_rate_off_1h received_size_off_10s received_size_off_1m received_size_off_10m received_size_off_1h',
};

const LINK = {
  'frames/s':
    'frames frames_10s frames_1m frames_10m arp_requests arp_replies arp_replies_unasked arp_announcements ' +
    'arp_sender_mismatch',
  'bytes/s': 'bytes',
  'bytes/frame': 'size',
  'times': 'stream_above_usual contests_defended',
  'of usual size': 'size_change',
  'streams': 'streams',
  'addresses/s': 'arp_targets arp_targets_missing',
  'addresses': 'forged_sources arp_targets_missing_last_minute addresses_contested',
  'owners': 'owners_robbed',
  'nats': 'new_mac new_stream',
};

const table = (units) => new Map(Object.entries(units).flatMap(([unit, names]) => names.split(' ').map((name) => [name, unit])));
const TABLES = { flow: table(FLOW), host: table(HOST), link: table(LINK) };

const about = (details) => (details.source_mac ? 'link' : details.community_id ? 'flow' : 'host');

// The unit of a feature in an alert with these details; none for one this console does not know.
export function unitOf(feature, details) {
  return TABLES[about(details)].get(feature) ?? Object.values(TABLES).map((known) => known.get(feature)).find(Boolean) ?? '';
}

// Its name as words: `bytes_out_above_usual` is "bytes out above usual".
export const wordsOf = (feature) => String(feature).replaceAll('_', ' ');
