//! Small files that must survive a crash at any line: identities, pins, anchors, keys.
//!
//! A write goes to a second file, is synced, takes the place of the first by a rename, and the folder is synced: a
//! reader sees the old bytes or the new ones, never a mixture. A *sealed* file carries a checksum of its content as
//! well, so that a damaged one is told apart from a missing one and never read as if it were sound.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

/// First bytes of a sealed file; the digit is its version.
const SEAL: &[u8; 16] = b"argosy-sealed-1\n";

/// Length of the checksum after the seal.
const CHECKSUM_LEN: usize = 32;

/// Longest file that is read.
const MAX_LEN: u64 = 16 * 1024 * 1024;

/// A small file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refuses.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The file is there, but is not what was written.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that is known.
        why: &'static str,
    },
}

impl FileError {
    /// Tells whether the file is there but not what was written.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}

/// Makes a folder and its parents, readable by the owner alone; an existing one stays as it is.
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("create", path))
}

/// A folder that no other process uses, for as long as the value lives.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Takes a folder for this process alone; `None` while another one has it. The system lets go of it when the process
/// ends, however it ends.
pub fn lock_folder(folder: &Path) -> Result<Option<FolderLock>, FileError> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(FolderLock { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
    }
}

/// Writes a file of mode 0600, whole or not at all, durable on return.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let name = path.file_name().ok_or_else(|| {
        failed("write", path)(std::io::Error::new(ErrorKind::InvalidInput, "the path names no file"))
    })?;
    let fresh = path.with_file_name(format!(".{}.new", name.to_string_lossy()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(failed("create", &fresh))?;
    // A file that a crash left here may have another mode than the one asked for above.
    file.set_permissions(PermissionsExt::from_mode(0o600)).map_err(failed("protect", &fresh))?;
    file.write_all(bytes).map_err(failed("write", &fresh))?;
    file.sync_all().map_err(failed("sync", &fresh))?;
    drop(file);
    std::fs::rename(&fresh, path).map_err(failed("replace", path))?;
    sync_parent(path)
}

/// Reads a file; `None` if there is none.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path)(error)),
    };
    let mut bytes = Vec::new();
    let read = file.take(MAX_LEN.saturating_add(1)).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if u64::try_from(read).is_ok_and(|read| read <= MAX_LEN) {
        Ok(Some(bytes))
    } else {
        Err(FileError::Damaged { path: path.to_owned(), why: "longer than any file of its kind" })
    }
}

/// Writes a file with a checksum of its content, as [`write()`] does.
pub fn write_sealed(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let mut bytes = Vec::with_capacity(SEAL.len() + CHECKSUM_LEN + content.len());
    bytes.extend_from_slice(SEAL);
    bytes.extend_from_slice(blake3::hash(content).as_bytes());
    bytes.extend_from_slice(content);
    write(path, &bytes)
}

/// Reads the content of a sealed file; `None` if there is no file, an error if its content is not what was written.
pub fn read_sealed(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let damaged = |why| FileError::Damaged { path: path.to_owned(), why };
    if bytes.is_empty() {
        return Err(damaged("empty"));
    }
    let sealed =
        bytes.strip_prefix(SEAL).ok_or_else(|| damaged("it does not start as a sealed file does"))?;
    let (checksum, content) = sealed.split_first_chunk::<CHECKSUM_LEN>().ok_or_else(|| damaged("cut off"))?;
    if blake3::hash(content) == blake3::Hash::from_bytes(*checksum) {
        Ok(Some(content.to_vec()))
    } else {
        Err(damaged("its checksum does not match"))
    }
}

/// Removes a file durably; none to remove is no error.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("remove", path)(error)),
    }
}

/// Makes the names in a file's folder durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), FileError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(failed("sync", parent))
}

pub(crate) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> FileError + use<> {
    let path = path.to_owned();
    move |source| FileError::Io { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_owners_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock_folder(folder.path()).unwrap();
        assert!(first.is_some());
        assert!(lock_folder(folder.path()).unwrap().is_none());
        drop(first);
        assert!(lock_folder(folder.path()).unwrap().is_some());
    }

    #[test]
    fn a_sealed_file_reads_back_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/anchor");
        create_private_dir(path.parent().unwrap()).unwrap();
        assert_eq!(read_sealed(&path).unwrap(), None);
        write_sealed(&path, b"one").unwrap();
        write_sealed(&path, b"two").unwrap();
        assert_eq!(read_sealed(&path).unwrap().as_deref(), Some(b"two".as_slice()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(read_sealed(&path).unwrap(), None);
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        write_sealed(&path, b"epoch and number").unwrap();
        let sound = std::fs::read(&path).unwrap();
        for at in 0..sound.len() {
            let mut bad = sound.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).unwrap();
            assert!(read_sealed(&path).unwrap_err().is_damage(), "flip at {at}");
            std::fs::write(&path, &sound[..at]).unwrap();
            assert!(read_sealed(&path).unwrap_err().is_damage(), "cut at {at}");
        }
    }

    #[test]
    fn what_a_crash_left_of_a_write_harms_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        write_sealed(&path, b"old").unwrap();
        std::fs::write(folder.path().join(".anchor.new"), b"half").unwrap();
        assert_eq!(read_sealed(&path).unwrap().as_deref(), Some(b"old".as_slice()));
        write_sealed(&path, b"new").unwrap();
        assert_eq!(read_sealed(&path).unwrap().as_deref(), Some(b"new".as_slice()));
    }

    #[test]
    fn an_unreadable_place_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(folder.path()).unwrap_err();
        assert!(!error.is_damage(), "{error}");
        assert!(write(&folder.path().join("none/anchor"), b"x").is_err());
    }
}
