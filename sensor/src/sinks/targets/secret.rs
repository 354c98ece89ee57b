//! Secrets of sinks: read from files each time they are needed, so that a new one needs no restart, and shown nowhere.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A token or an address is shorter.
const LONGEST: u64 = 4096;

/// A secret. Shown as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// For the request or the login, and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Why a secret cannot be used, with a remedy.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Not there, or not for this user.
    #[error("{path}: {source}; write the secret there, readable by the user that runs vesper")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Others may read it.
    #[error("{path} has mode {mode:04o}, others can read it: chmod 0600 {path}")]
    Open {
        /// The file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// Not one line of text.
    #[error("{path} holds no secret: write one line of printable text, up to {LONGEST} bytes")]
    Content {
        /// The file.
        path: String,
    },
    /// A name, and systemd gave none.
    #[error(
        "{name} is the name of a credential, and $CREDENTIALS_DIRECTORY is not set: write an absolute path, or LoadCredential={name}:... in the unit"
    )]
    NoCredentials {
        /// The name.
        name: String,
    },
}

/// Reads the secret in `file`; a relative one is the name of a credential of systemd.
pub fn read(file: &Path) -> Result<Secret, SecretError> {
    let folder =
        std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    read_from(file, folder.as_deref())
}

fn read_from(file: &Path, credentials: Option<&Path>) -> Result<Secret, SecretError> {
    // systemd grants its user access by an ACL, whose mask `stat` shows as the rights of the group.
    let (path, forbidden) = match (file.is_absolute(), credentials) {
        (true, Some(folder)) if file.starts_with(folder) => (file.to_owned(), 0o007),
        (true, _) => (file.to_owned(), 0o077),
        (false, Some(folder)) => (folder.join(file), 0o007),
        (false, None) => return Err(SecretError::NoCredentials { name: file.display().to_string() }),
    };
    let shown = path.display().to_string();
    let failed = |source| SecretError::Read { path: shown.clone(), source };
    let opened = std::fs::File::open(&path).map_err(failed)?;
    let mode = opened.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & forbidden != 0 {
        return Err(SecretError::Open { path: shown, mode });
    }
    let mut text = String::new();
    match opened.take(LONGEST + 1).read_to_string(&mut text) {
        Err(source) if source.kind() != std::io::ErrorKind::InvalidData => return Err(failed(source)),
        _ => {}
    }
    let secret = text.trim();
    if secret.is_empty() || text.len() as u64 > LONGEST || secret.chars().any(char::is_control) {
        return Err(SecretError::Content { path: shown });
    }
    Ok(Secret(secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_must_be_private_and_hold_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8], mode: u32| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let good = write("good", b"hunter2\n", 0o600);
        assert_eq!(read_from(&good, None).unwrap().expose(), "hunter2");
        assert_eq!(format!("{:?}", read_from(&good, None).unwrap()), "***");
        for (path, credentials, expected) in [
            (write("group", b"hunter2", 0o640), None, "mode 0640, others can read it: chmod 0600"),
            (write("world", b"hunter2", 0o604), Some(folder.path()), "mode 0604"),
            (write("empty", b" \n", 0o600), None, "holds no secret"),
            (write("lines", b"hunter2\nhunter3", 0o600), None, "holds no secret"),
            (write("binary", b"hunter2\xff", 0o600), None, "holds no secret"),
            (write("long", &[b'h'; 4097], 0o600), None, "holds no secret"),
            (folder.path().join("none"), None, "No such file"),
            (PathBuf::from("slack-url"), None, "LoadCredential=slack-url:"),
            (PathBuf::from("/dev/zero"), None, "others can read it"),
        ] {
            let error = read_from(&path, credentials).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("hunter"), "{error}");
        }
        // As a credential of systemd.
        write("slack-url", b"https://hooks", 0o440);
        let secret = read_from(Path::new("slack-url"), Some(folder.path())).unwrap();
        assert_eq!(secret.expose(), "https://hooks");
    }
}
