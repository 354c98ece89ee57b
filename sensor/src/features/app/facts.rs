//! The plain facts of what a flow says, in their units.

use super::bytes::Text;
use super::markers::Kind;

/// What a flow speaks, as far as its samples tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Not known, or not looked into.
    #[default]
    Unknown,
    /// DNS by UDP or TCP, port 53.
    Dns,
    /// TLS, any port.
    Tls,
    /// HTTP/1, any port.
    Http,
}

/// What a flow says. All zero without samples that say anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct AppFacts {
    /// The protocol.
    pub protocol: Protocol,
    /// The registered domain asked for (DNS), the server's name (TLS), or the path (HTTP), cut. Hostile.
    pub text: Text<80>,
    /// Hash of the JA4 fingerprint of the client, the same in every run.
    pub ja4: Option<u64>,
    /// Hash of the server's name that the client asks for by TLS.
    pub sni_hash: Option<u64>,
    /// Hash of the latest user agent by HTTP.
    pub agent_hash: Option<u64>,
    /// DNS.
    pub dns: DnsFacts,
    /// TLS.
    pub tls: TlsFacts,
    /// HTTP.
    pub http: HttpFacts,
}

/// What a client asked for under one registered domain, lately: sums fade with 60 s, those with `_10s` with 10 s. At a
/// steady rate a sum is what comes in that time: "a minute" below.
#[derive(Clone, Copy, Debug, Default)]
pub struct DnsFacts {
    /// Who asks.
    pub client: [u8; 16],
    /// Questions a minute.
    pub queries: f32,
    /// Questions in 10 s.
    pub queries_10s: f32,
    /// Distinct names a minute.
    pub new_names: f32,
    /// Distinct names in 10 s.
    pub new_names_10s: f32,
    /// Mean length of what stands in front of the registered domain, bytes.
    pub name_length: f32,
    /// Its mean entropy, bits per byte.
    pub name_entropy: f32,
    /// Bytes that these names could carry, a minute.
    pub name_bytes: f32,
    /// Bytes of distinct answers that carry text or unknown types, a minute.
    pub answer_bytes: f32,
    /// Part of the answers that were not seen before, 0 to 1.
    pub novelty: f32,
    /// Part of the questions for types that carry text or that nobody uses, 0 to 1.
    pub unusual_types: f32,
    /// Bytes a minute that may be hidden in names and answers, each weighted by how odd its record type is for that.
    pub hidden: f32,
    /// Same in 10 minutes, fading with them.
    pub hidden_10min: f32,
    /// Distinct names really seen, not scaled up to what samples stand for; fades with 10 minutes.
    pub seen: f32,
    /// Distinct names of the client under all domains, a minute.
    pub client_names: f32,
    /// Part of the client's answers that say that there is no such name, 0 to 1.
    pub no_such_name: f32,
}

/// What a TLS handshake showed.
#[derive(Clone, Copy, Debug, Default)]
pub struct TlsFacts {
    /// Version that the server chose, or else the highest that the client offers, as on the wire: 0x0304 is TLS 1.3.
    pub version: u16,
    /// A ClientHello was seen that names no server.
    pub nameless: bool,
    /// The client began on port 443 with something else than a ClientHello.
    pub no_hello: bool,
}

/// What HTTP requests of the last seconds showed, and what the pair's answers were.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpFacts {
    /// Requests of the pair in 60 s, fading; see [`DnsFacts`].
    pub requests: f32,
    /// Same, in 10 s.
    pub requests_10s: f32,
    /// Answers of the pair with a status of 400 to 499 in 60 s, fading.
    pub client_errors: f32,
    /// Same, 500 to 599.
    pub server_errors: f32,
    /// Part of the pair's answers with a status of 400 and above, 0 to 1.
    pub errors: f32,
    /// Length of the target, bytes.
    pub path_length: f32,
    /// Slashes in it.
    pub depth: f32,
    /// Parameters of it.
    pub parameters: f32,
    /// Its entropy, bits per byte.
    pub entropy: f32,
    /// Part of it that is neither letter, digit nor what paths are made of, or that is percent-encoded, 0 to 1.
    pub odd: f32,
    /// The method is not GET, HEAD, POST or OPTIONS.
    pub unusual_method: bool,
    /// Scores of the attack markers in it; see [`super::markers`].
    pub markers: f32,
    /// The most telling of them.
    pub marker: Option<Kind>,
    /// Most of it stands beside the target: in headers or the body.
    pub beside: bool,
}

/// A client that asks for more names a minute than this, beside those of the domain in question, resolves for others, and
/// shows in proportion more of everything.
const MANY_NAMES: f32 = 300.0;
/// What is hidden in ten minutes is compared with so many times what is in one: a tunnel that was in use is still one while
/// it idles.
pub(super) const LASTING: f32 = 6.0;
/// What names of known uses that look like a tunnel's come to, bytes a minute, and half a mark: see the rules' tests.
const HIDDEN_OF_OTHERS: f32 = 512.0;
const MARKS_OF_OTHERS: f32 = 0.5;

impl DnsFacts {
    /// Bytes a minute that may be hidden, per what a single client is.
    pub fn hidden_by_one(&self) -> f32 {
        let others = ((self.client_names - self.new_names) / MANY_NAMES).max(1.0);
        self.hidden.max(self.hidden_10min / LASTING) / others
    }
}

/// Features of [`AppFacts::values`].
pub const VALUES: usize = 20;

impl AppFacts {
    /// The features, in their units, in the order of the last of [`crate::features::spec::FLOW`].
    pub fn values(&self) -> [f64; VALUES] {
        if self.protocol == Protocol::Unknown && !self.tls.no_hello {
            return [0.0; VALUES];
        }
        let yes = |condition: bool| f32::from(u8::from(condition));
        let (dns, tls, http) = (&self.dns, &self.tls, &self.http);
        let old = tls.version != 0 && tls.version < 0x0303;
        [
            dns.new_names_10s,
            dns.new_names,
            dns.name_length,
            dns.name_entropy,
            dns.name_bytes,
            dns.answer_bytes,
            dns.unusual_types,
            dns.no_such_name,
            dns.client_names,
            (dns.hidden_by_one() - HIDDEN_OF_OTHERS).max(0.0),
            yes(old),
            yes(tls.nameless),
            yes(tls.no_hello),
            http.path_length,
            http.parameters,
            http.entropy,
            http.odd,
            http.client_errors + http.server_errors,
            http.errors,
            (http.markers - MARKS_OF_OTHERS).max(0.0),
        ]
        .map(f64::from)
    }
}
