//! Tokens: 256 random bits, shown once, kept as a hash beside a name and a scope.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// The file is looked at again after this long.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Largest file of tokens, bytes: some ten thousand.
const LARGEST: u64 = 1 << 20;
/// In front of every token, so that scanners for leaked secrets know it.
const PREFIX: &str = "vesper_";

/// What somebody may do; each includes those before.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Look.
    Read,
    /// Acknowledge, resolve, add incidents, analyse captures.
    Write,
    /// Change the model, reload the configuration, delete.
    Admin,
}

impl Scope {
    /// As it is written in files and descriptions.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = ();

    fn from_str(text: &str) -> Result<Scope, ()> {
        [Scope::Read, Scope::Write, Scope::Admin].into_iter().find(|scope| scope.name() == text).ok_or(())
    }
}

/// Why tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file.
    #[error("{path}: {source}; `vesper token new NAME` makes a first token, api.tokens_file says where")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line in it.
    #[error(
        "{path}:{line}: write `name scope sha256`, as `vesper token new` does; scope is read, write or admin"
    )]
    Line {
        /// Where.
        path: PathBuf,
        /// Which line.
        line: usize,
    },
    /// Others may change it.
    #[error("{0} can be written by others: chmod 600 it")]
    Writable(PathBuf),
    /// It holds none.
    #[error("{0} holds no token: `vesper token new NAME` makes one")]
    Empty(PathBuf),
    /// The name is no name, or taken.
    #[error(
        "{0:?} is no name for a token: use 1 to 64 letters, digits, '-', '_' or '.', and none that is there already"
    )]
    Name(String),
    /// The system gives no random numbers.
    #[error("no random numbers: {0}")]
    Random(String),
}

/// A token, as it is stored.
#[derive(Clone)]
pub struct Token {
    /// Who has it.
    pub name: String,
    /// What they may do.
    pub scope: Scope,
    hash: [u8; 32],
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} {})", self.name, self.scope.name())
    }
}

/// The file of tokens, looked at again whenever it changed: a token that is removed there is worth nothing a second later.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    tokens: Vec<Token>,
    changed: Option<(SystemTime, u64, u64)>,
    looked: Instant,
}

impl Tokens {
    /// Reads the file; refuses one without a token.
    pub fn open(path: PathBuf) -> Result<Tokens, TokenError> {
        let (tokens, changed) = read(&path)?;
        if tokens.is_empty() {
            return Err(TokenError::Empty(path));
        }
        Ok(Tokens { path, known: Mutex::new(Known { tokens, changed, looked: now() }) })
    }

    /// Whose token this is.
    pub fn find(&self, secret: &str) -> Option<Token> {
        self.find_hash(&hash(secret))
    }

    /// Whose token has this hash.
    pub fn find_hash(&self, wanted: &[u8; 32]) -> Option<Token> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if now().duration_since(known.looked) >= LOOK_AGAIN {
            known.looked = now();
            if stamp(&self.path) != known.changed {
                match read(&self.path) {
                    Ok((tokens, changed)) => (known.tokens, known.changed) = (tokens, changed),
                    // Nobody gets in by a file that cannot be read, and nobody stays.
                    Err(error) => {
                        tracing::error!(%error, "api: no token is accepted");
                        (known.tokens, known.changed) = (Vec::new(), None);
                    }
                }
            }
        }
        // All of them, whichever fits: how long it takes says nothing.
        let fitting = known
            .tokens
            .iter()
            .fold(None, |found, token| if equal(&token.hash, wanted) { Some(token) } else { found });
        fitting.cloned()
    }
}

impl Token {
    /// What is compared; sessions keep it.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

/// Makes a token, adds its hash to the file (made with mode 0600), and returns what its owner must keep.
pub fn create(path: &Path, name: &str, scope: Scope) -> Result<String, TokenError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let there = if path.exists() { read(path)?.0 } else { Vec::new() };
    let taken = there.iter().any(|token| token.name == name) || name == "local" || name == "cli";
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) || taken {
        return Err(TokenError::Name(name.to_owned()));
    }
    let secret = format!("{PREFIX}{}", random()?);
    let mut line = format!("{name} {} ", scope.name());
    for byte in hash(&secret) {
        line.push_str(&format!("{byte:02x}"));
    }
    let failed = |source| TokenError::File { path: path.to_owned(), source };
    let mut file = File::options().create(true).append(true).mode(0o600).open(path).map_err(failed)?;
    writeln!(file, "{line}").and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(secret)
}

/// 256 random bits as text.
pub(in crate::api) fn random() -> Result<String, TokenError> {
    let mut bits = [0u8; 32];
    getrandom::fill(&mut bits).map_err(|error| TokenError::Random(error.to_string()))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bits))
}

/// What is kept of a secret. Salt and stretching are for passwords: these are 256 random bits.
pub(super) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// In the same time wherever they differ.
pub(super) fn equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    std::hint::black_box(a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b))) == 0
}

fn stamp(path: &Path) -> Option<(SystemTime, u64, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len(), meta.ino()))
}

/// The tokens, and by what a change of the file is known.
type Found = (Vec<Token>, Option<(SystemTime, u64, u64)>);

fn read(path: &Path) -> Result<Found, TokenError> {
    let changed = stamp(path);
    let failed = |source| TokenError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.mode() & 0o022 != 0 {
        return Err(TokenError::Writable(path.to_owned()));
    }
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text).map_err(failed)?;
    let mut tokens = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let token = parse(line).ok_or_else(|| TokenError::Line { path: path.to_owned(), line: index + 1 })?;
        tokens.push(token);
    }
    Ok((tokens, changed))
}

fn parse(line: &str) -> Option<Token> {
    let mut words = line.split_whitespace();
    let (name, scope, hex) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
    if words.next().is_some() || hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    let mut hash = [0u8; 32];
    for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(Token { name: name.to_owned(), scope, hash })
}

#[expect(clippy::disallowed_methods, reason = "how long ago a file was looked at is about real time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_and_forgotten_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let reader = create(&path, "grafana", Scope::Read).unwrap();
        let admin = create(&path, "ada", Scope::Admin).unwrap();
        assert!(matches!(create(&path, "ada", Scope::Read), Err(TokenError::Name(_))));
        assert!(matches!(create(&path, "a b", Scope::Read), Err(TokenError::Name(_))));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&reader) && !text.contains(&admin), "{text}");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);

        let tokens = Tokens::open(path.clone()).unwrap();
        assert_eq!(tokens.find(&admin).unwrap().name, "ada");
        assert_eq!(tokens.find(&reader).unwrap().scope, Scope::Read);
        assert!(tokens.find("vesper_guess").is_none() && tokens.find("").is_none());

        std::fs::write(&path, text.lines().next().unwrap()).unwrap();
        tokens.known.lock().unwrap().looked = now() - LOOK_AGAIN;
        assert!(tokens.find(&admin).is_none() && tokens.find(&reader).is_some());
        std::fs::remove_file(&path).unwrap();
        tokens.known.lock().unwrap().looked = now() - LOOK_AGAIN;
        assert!(tokens.find(&reader).is_none());
    }

    #[test]
    fn bad_files_are_refused_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let refused = |text: &str| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            Tokens::open(path.clone()).unwrap_err().to_string()
        };
        let good = "0".repeat(64);
        assert!(refused(&format!("# who\na read {good}\nb all {good}\n")).contains("tokens:3"));
        assert!(refused("a read 00ff\n").contains("tokens:1"));
        assert!(refused("# nobody\n").contains("holds no token"));
        std::fs::write(&path, format!("a read {good}")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(Tokens::open(path).unwrap_err().to_string().contains("chmod 600"));
    }
}
