//! Where the binaries of the real control plane come from: `$KUBEBUILDER_ASSETS`, or our own build of them.
//!
//! Our build is one Go program (`tests/control-plane`) under four names. It is built once, by whichever process comes
//! first, and kept in the user's cache under the hash of its sources and flags, so that a change builds anew and
//! everything else finds it ready.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::process::is_executable;
use crate::wait::Stopwatch;

/// The variable that names a folder with the binaries, as in Kubebuilder's envtest.
const OVERRIDE: &str = "KUBEBUILDER_ASSETS";
/// The names that the one binary acts by.
const NAMES: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"];
/// The files that the binary is made of.
const SOURCES: [&str; 3] = ["main.go", "go.mod", "go.sum"];
/// Without these the servers call themselves v0.0.0.
const LINKER_FLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36";
/// How often a running build says that it runs.
const PROGRESS: Duration = Duration::from_secs(30);

/// The paths of a control plane's binaries.
#[derive(Clone, Debug)]
pub struct Assets {
    folder: PathBuf,
    kubectl: PathBuf,
}

// === impl Assets ===

impl Assets {
    /// Finds the binaries, and builds them first if need be.
    pub fn find() -> anyhow::Result<Self> {
        match std::env::var_os(OVERRIDE).filter(|folder| !folder.is_empty()) {
            Some(folder) => Self::given(PathBuf::from(folder)),
            None => Self::built(&sources(), &cache()?),
        }
    }

    /// Returns the folder with the binaries.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of `etcd`.
    pub fn etcd(&self) -> PathBuf {
        self.folder.join("etcd")
    }

    /// Returns the path of `kube-apiserver`.
    pub fn api_server(&self) -> PathBuf {
        self.folder.join("kube-apiserver")
    }

    /// Returns the path of `kube-controller-manager`.
    pub fn controller_manager(&self) -> PathBuf {
        self.folder.join("kube-controller-manager")
    }

    /// Returns the path of `kubectl`, which may also be the one of the user's PATH.
    pub fn kubectl(&self) -> &Path {
        &self.kubectl
    }

    fn given(folder: PathBuf) -> anyhow::Result<Self> {
        let kubectl = Some(folder.join("kubectl")).filter(|path| is_executable(path));
        let missing: Vec<_> = NAMES
            .into_iter()
            .filter(|name| *name != "kubectl" && !is_executable(&folder.join(name)))
            .collect();
        if !missing.is_empty() {
            bail!(
                "{OVERRIDE}={} lacks {}; unset {OVERRIDE} to have all of them built from tests/control-plane",
                folder.display(),
                missing.join(", ")
            );
        }
        let kubectl = kubectl.or_else(|| on_path("kubectl")).with_context(|| {
            format!("kubectl is neither in {OVERRIDE}={} nor on the PATH", folder.display())
        })?;
        Ok(Self { folder, kubectl })
    }

    fn built(sources: &Path, cache: &Path) -> anyhow::Result<Self> {
        let folder = cache.join(fingerprint(sources)?);
        if !is_complete(&folder) {
            std::fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
            let _lock = lock(&folder.with_extension("lock"))?;
            if !is_complete(&folder) {
                build(sources, &folder)?;
            }
        }
        Ok(Self { kubectl: folder.join("kubectl"), folder })
    }
}

/// Finds a kubectl without building one: of the folder that is given, of our build if it is there, or of the PATH.
pub fn kubectl() -> anyhow::Result<Option<PathBuf>> {
    let folder = match std::env::var_os(OVERRIDE).filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => cache()?.join(fingerprint(&sources())?),
    };
    let given = Some(folder.join("kubectl")).filter(|path| is_executable(path));
    Ok(given.or_else(|| on_path("kubectl")))
}

/// Returns the folder with the sources of the control plane.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("control-plane")
}

fn cache() -> anyhow::Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => std::env::home_dir().context("neither XDG_CACHE_HOME nor HOME is set")?.join(".cache"),
    };
    Ok(base.join("argosy/control-plane"))
}

/// Returns a name that changes with the sources, the flags and the machine that is built for.
fn fingerprint(sources: &Path) -> anyhow::Result<String> {
    let mut hasher = blake3::Hasher::new();
    for part in [LINKER_FLAGS.as_bytes(), std::env::consts::ARCH.as_bytes(), std::env::consts::OS.as_bytes()]
    {
        hasher.update(blake3::hash(part).as_bytes());
    }
    for name in SOURCES {
        let path = sources.join(name);
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        hasher.update(blake3::hash(&bytes).as_bytes());
    }
    Ok(hasher.finalize().to_hex().chars().take(16).collect())
}

fn is_complete(folder: &Path) -> bool {
    NAMES.iter().all(|name| is_executable(&folder.join(name)))
}

/// Takes the lock that lets one process build while the others wait for its result.
fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    if file.try_lock().is_err() {
        crate::say("waiting for another process that builds the test control plane");
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}

/// Builds beside the final folder and moves it there whole, so that a killed build leaves nothing half done.
fn build(sources: &Path, folder: &Path) -> anyhow::Result<()> {
    if on_path("go").is_none() {
        bail!(
            "Go was not found: the tests run a real Kubernetes control plane that is built once from {}. Install Go \
             1.26 or newer (https://go.dev/dl) and put it on the PATH, or set {OVERRIDE} to a folder that holds {}",
            sources.display(),
            NAMES.join(", ")
        );
    }
    let draft = folder.with_extension("draft");
    if draft.exists() {
        std::fs::remove_dir_all(&draft).with_context(|| format!("cannot remove {}", draft.display()))?;
    }
    std::fs::create_dir_all(&draft).with_context(|| format!("cannot make {}", draft.display()))?;
    let [first, others @ ..] = NAMES;
    let binary = draft.join(first);
    crate::say(&format!(
        "building the test control plane, once, into {} (about 8 minutes on 2 cores)",
        folder.display()
    ));
    compile(sources, &binary)?;
    for name in others {
        std::fs::hard_link(&binary, draft.join(name)).with_context(|| format!("cannot link {name}"))?;
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    std::fs::rename(&draft, folder).with_context(|| format!("cannot make {}", folder.display()))
}

fn compile(sources: &Path, binary: &Path) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let log = binary.with_extension("log");
    let output = File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
    let mut go = Command::new("go")
        .args(["build", "-trimpath", "-ldflags", LINKER_FLAGS, "-o"])
        .arg(binary)
        .arg(".")
        .current_dir(sources)
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .stdout(output.try_clone().context("cannot duplicate a file")?)
        .stderr(output)
        .spawn()
        .context("cannot start go")?;
    let mut said = Duration::ZERO;
    let status = loop {
        if let Some(status) = go.try_wait().context("cannot wait for go")? {
            break status;
        }
        if watch.elapsed() >= said + PROGRESS {
            said = watch.elapsed();
            crate::say(&format!("still building the test control plane: {} s", said.as_secs()));
        }
        crate::wait::pause(Duration::from_millis(100));
    };
    if !status.success() {
        let output =
            std::fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
        bail!("`go build` in {} failed ({status}):\n{output}", sources.display());
    }
    std::fs::remove_file(&log).with_context(|| format!("cannot remove {}", log.display()))?;
    crate::say(&format!("built the test control plane in {} s", watch.elapsed().as_secs()));
    Ok(())
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_executable(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn executable(path: &Path) {
        use std::os::unix::fs::PermissionsExt as _;

        std::fs::write(path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_given_folder_without_a_binary_is_refused_by_the_binarys_name() {
        let scratch = Scratch::new("unit").unwrap();
        executable(&scratch.join("etcd"));
        executable(&scratch.join("kube-apiserver"));

        let error = Assets::given(scratch.path().to_owned()).unwrap_err().to_string();

        assert!(error.contains("lacks kube-controller-manager; unset KUBEBUILDER_ASSETS"), "{error}");
    }

    #[test]
    fn a_given_folder_with_all_binaries_is_used_as_it_is() {
        let scratch = Scratch::new("unit").unwrap();
        for name in NAMES {
            executable(&scratch.join(name));
        }

        let assets = Assets::given(scratch.path().to_owned()).unwrap();

        assert_eq!(assets.kubectl(), scratch.join("kubectl"));
    }

    #[test]
    fn a_folder_that_is_complete_is_not_built_again() {
        let scratch = Scratch::new("unit").unwrap();
        let sources = scratch.join("sources");
        std::fs::create_dir(&sources).unwrap();
        for name in SOURCES {
            std::fs::write(sources.join(name), "not Go at all").unwrap();
        }
        let folder = scratch.join(fingerprint(&sources).unwrap());
        std::fs::create_dir(&folder).unwrap();
        for name in NAMES {
            executable(&folder.join(name));
        }

        let assets = Assets::built(&sources, scratch.path()).unwrap();

        assert_eq!(assets.folder(), folder);
    }

    #[test]
    fn a_changed_source_is_another_fingerprint() {
        let scratch = Scratch::new("unit").unwrap();
        for name in SOURCES {
            std::fs::write(scratch.join(name), "a").unwrap();
        }
        let before = fingerprint(scratch.path()).unwrap();

        std::fs::write(scratch.join("go.sum"), "b").unwrap();

        assert_ne!(fingerprint(scratch.path()).unwrap(), before);
    }
}
