//! A recording: a folder of frames, files and stores as one version wrote them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use argosy_core::agent;
use argosy_core::bundle::{Header, Part, Receipts, ReceiptsHeader, ReceiptsPart, receipts_seal_bytes};
use argosy_core::desired::SignHead as _;
use argosy_core::hub::{AppName, Reply, Request, TABLES as HUB_TABLES};
use argosy_core::pause::{PauseKind, PauseOrder};
use argosy_core::session::frame::{CommandKind, HubFrame};
use argosy_core::store::{MemoryStore, StoreOp, StoreRead as _, Table, decode, encode};
use argosy_proto::{BUNDLE, PartReader, PartWriter, RECEIPTS, v1};

use super::samples::samples;
use super::wire::{End, Frame};
use super::words;
use super::world::{EDGE, INSTALLATION, Kept, Key, World, app};

/// A frame as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    pub(super) end: End,
    pub(super) bytes: Vec<u8>,
    pub(super) words: String,
}

/// What one version wrote.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recording {
    /// Which.
    pub(super) version: String,
    /// Frames of every kind.
    pub(super) frames: Vec<Said>,
    /// What crossed in a session.
    pub(super) session: Vec<Said>,
    /// What both ends kept of it.
    pub(super) kept: Kept,
    /// What that is.
    pub(super) agent: Vec<String>,
    pub(super) hub: Vec<String>,
    /// The same by file.
    pub(super) bundle: Vec<u8>,
    pub(super) receipts: Vec<u8>,
}

/// Gives the folder of all recordings.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/recorded")
}

/// Gives all recordings, the oldest names first.
pub(super) fn all() -> Vec<Recording> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.iter().map(|folder| Recording::read(folder)).collect()
}

fn said(end: End, bytes: &[u8]) -> Said {
    let words = words::frame(&Frame::decode(end, bytes).unwrap());
    Said { end, bytes: bytes.to_vec(), words }
}

impl Recording {
    /// Plays the session of a recording with this version.
    pub(super) fn make() -> Self {
        let mut world = World::start(Kept::default(), 1);
        let web: &[(&str, &str)] =
            &[("web-a", "1"), ("web-b", "1"), ("web-c", "1"), ("web-d", "1"), ("web-e", "1")];
        world.commit("commit-1", &[("web", web), ("api", &[("api-a", "1")])]);
        world.pass(30);
        // A field changes, an object leaves.
        let web: &[(&str, &str)] = &[("web-a", "2"), ("web-b", "1"), ("web-c", "1"), ("web-d", "1")];
        world.commit("commit-2", &[("web", web), ("api", &[("api-a", "1")])]);
        world.pass(30);
        world.meddle("web-b");
        world.pass(30);
        sync(&mut world, "web");
        world.pass(30);
        // Somebody stops all writes; what comes after that waits.
        let order = PauseOrder::new(PauseKind::Pause, "mara", "flood", world.now());
        world.kept.order = Some(order.clone());
        world.agent_takes(agent::Input::Pause(order));
        world.commit("commit-3", &[("web", web), ("api", &[("api-a", "3")])]);
        world.pass(30);
        sync(&mut world, "api");
        world.pass(90);
        world.may_dial(false);
        world.cut();
        world.pass(5);
        let (bundle, receipts) = (bundle(&mut world), receipts(&mut world));
        let session = world.said.iter().map(|(end, bytes)| said(*end, bytes)).collect();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            frames: samples().iter().map(|frame| said(frame.end(), &frame.encode())).collect(),
            session,
            agent: words::agent(&world.agent, world.now()),
            hub: words::hub(&world.hub, &world.kept, world.now()),
            kept: Kept {
                agent: store(&store_text(&world.kept.agent, agent::TABLES), agent::TABLES),
                hub: store(&store_text(&world.kept.hub, HUB_TABLES), HUB_TABLES),
                ..world.kept
            },
            bundle,
            receipts,
        }
    }

    /// Writes it into a new folder.
    pub(super) fn write(&self, folder: &Path) {
        fs::create_dir(folder).unwrap_or_else(|error| {
            panic!("{}: {error}; what was recorded stays as it is", folder.display())
        });
        let write = |name: &str, content: &[u8]| fs::write(folder.join(name), content).unwrap();
        write("frames.txt", frames_text(&self.frames).as_bytes());
        write("session.txt", frames_text(&self.session).as_bytes());
        let mut beside = String::new();
        let cluster = self.kept.cluster.unwrap();
        writeln!(beside, "cluster {}", hex(cluster.as_bytes())).unwrap();
        writeln!(beside, "anchor {}", hex(&encode(&self.kept.anchor.unwrap()))).unwrap();
        writeln!(beside, "order {}", hex(&encode(self.kept.order.as_ref().unwrap()))).unwrap();
        write("beside.txt", beside.as_bytes());
        write("agent.txt", lines(&self.agent).as_bytes());
        write("agent.store.txt", store_text(&self.kept.agent, agent::TABLES).as_bytes());
        write("hub.txt", lines(&self.hub).as_bytes());
        write("hub.store.txt", store_text(&self.kept.hub, HUB_TABLES).as_bytes());
        write("edge.bundle", &self.bundle);
        write("edge.receipts", &self.receipts);
    }

    pub(super) fn read(folder: &Path) -> Self {
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let words = |name: &str| text(name).lines().map(str::to_owned).collect::<Vec<_>>();
        let beside = text("beside.txt");
        let value = |name: &str| {
            let line = beside.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            unhex(line.trim())
        };
        let kept = Kept {
            cluster: argosy_core::ids::ClusterId::from_slice(&value("cluster")),
            agent: store(&text("agent.store.txt"), agent::TABLES),
            anchor: Some(decode("anchor", &value("anchor")).unwrap()),
            order: Some(decode("order", &value("order")).unwrap()),
            hub: store(&text("hub.store.txt"), HUB_TABLES),
        };
        Self {
            version: folder.file_name().unwrap().to_str().unwrap().to_owned(),
            frames: frames(&text("frames.txt")),
            session: frames(&text("session.txt")),
            kept,
            agent: words("agent.txt"),
            hub: words("hub.txt"),
            bundle: fs::read(folder.join("edge.bundle")).unwrap(),
            receipts: fs::read(folder.join("edge.receipts")).unwrap(),
        }
    }

    /// Gives the parts of the bundle.
    pub(super) fn bundle_parts(&self) -> (Header, Vec<HubFrame>) {
        let mut reader = PartReader::begin(self.bundle.as_slice(), "bundle", BUNDLE).unwrap();
        let (mut header, mut frames) = (None, Vec::new());
        loop {
            match Part::try_from(reader.message::<v1::BundlePart>().unwrap()).unwrap() {
                Part::Header(first) => header = Some(first),
                Part::Frame(frame) => frames.push(frame),
                Part::Seal(_) => break,
            }
        }
        let _rest = reader.end().unwrap();
        (header.unwrap(), frames)
    }

    /// Gives the parts of the receipts.
    pub(super) fn receipts_parts(&self) -> (ReceiptsHeader, Receipts) {
        let mut reader = PartReader::begin(self.receipts.as_slice(), "receipts", RECEIPTS).unwrap();
        let (mut header, mut frames) = (None, Vec::new());
        loop {
            match ReceiptsPart::try_from(reader.message::<v1::ReceiptsPart>().unwrap()).unwrap() {
                ReceiptsPart::Header(first) => header = Some(first),
                ReceiptsPart::Frame(frame) => frames.push(frame),
                ReceiptsPart::Seal(_) => break,
            }
        }
        let _rest = reader.end().unwrap();
        (header.unwrap(), Receipts::of_frames(frames).unwrap())
    }
}

fn sync(world: &mut World, name: &str) {
    let kind = CommandKind::Sync { app: app(name), expect: None, prune: false };
    let named = AppName { app: app(name), cluster: None };
    let _progress = world.ask(Request::Command { app: named, kind, deadline_ms: 600_000 });
}

fn bundle(world: &mut World) -> Vec<u8> {
    let asked = world.ask(Request::ExportBundle { name: EDGE.to_owned() });
    let Some(Reply::Exporting { id, header }) = asked else { panic!("{asked:?}") };
    let mut writer = PartWriter::default();
    let mut file = writer.begin(BUNDLE);
    file.extend(writer.message(&v1::BundlePart::from(Part::Header(*header))));
    loop {
        let Some(Reply::Exported(frames)) = world.ask(Request::MoreOfBundle(id)) else { panic!() };
        if frames.is_empty() {
            break;
        }
        for frame in frames {
            file.extend(writer.message(&v1::BundlePart::from(Part::Frame(frame))));
        }
    }
    let sealed = world.ask(Request::SealBundle { id, digest: writer.digest() });
    let Some(Reply::Sealed(signature)) = sealed else { panic!("{sealed:?}") };
    file.extend(writer.message(&v1::BundlePart::from(Part::Seal(signature))));
    file
}

fn receipts(world: &mut World) -> Vec<u8> {
    let header = ReceiptsHeader {
        cluster: world.kept.cluster.unwrap(),
        installation: INSTALLATION,
        made: world.now().wall,
        certificate: b"a certificate".to_vec(),
    };
    let mut writer = PartWriter::default();
    let mut file = writer.begin(RECEIPTS);
    file.extend(writer.message(&v1::ReceiptsPart::from(ReceiptsPart::Header(header))));
    for frame in world.receipts() {
        file.extend(writer.message(&v1::ReceiptsPart::from(ReceiptsPart::Frame(frame))));
    }
    let seal = Key.sign(&receipts_seal_bytes(writer.digest())).0.to_vec();
    file.extend(writer.message(&v1::ReceiptsPart::from(ReceiptsPart::Seal(seal))));
    file
}

// === The files ===

fn frames_text(frames: &[Said]) -> String {
    let mut text = String::new();
    for Said { end, bytes, words } in frames {
        let end = match end {
            End::Agent => "agent",
            End::Hub => "hub",
        };
        writeln!(text, "{end}: {words}\n{}", hex(bytes)).unwrap();
    }
    text
}

fn frames(text: &str) -> Vec<Said> {
    let lines: Vec<&str> = text.lines().collect();
    let frame = |pair: &[&str]| {
        let (end, words) = pair[0].split_once(": ").unwrap();
        let end = if end == "agent" { End::Agent } else { End::Hub };
        Said { end, bytes: unhex(pair[1]), words: words.to_owned() }
    };
    lines.chunks(2).map(frame).collect()
}

fn store_text(store: &MemoryStore, tables: &[Table]) -> String {
    let mut text = String::new();
    for table in tables {
        for (key, value) in store.scan(table, &[]).unwrap() {
            writeln!(text, "{table}\t{}\t{}", hex(&key), hex(&value)).unwrap();
        }
    }
    text
}

/// Reads a store; a table that is no more is an error: its rows would be lost unseen.
fn store(text: &str, tables: &[Table]) -> MemoryStore {
    let mut store = MemoryStore::default();
    for line in text.lines() {
        let [name, key, value] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let table = tables.iter().find(|table| **table == name).unwrap_or_else(|| panic!("no table {name}"));
        store.commit(&[StoreOp::put_bytes(table, unhex(key), unhex(value))]);
    }
    store
}

fn lines(words: &[String]) -> String {
    words.join("\n") + "\n"
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
