//! Faults of the disk below a process: `faults.c`, built and preloaded, and a disk that is full.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::{FileExt as _, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::test_app::repository;

/// What the disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No file can grow.
    FullDisk,
    /// Some writes fail, some of them halfway.
    Writes,
    /// Some fsyncs fail.
    Syncs,
    /// Some of all calls fail.
    Everything,
}

/// `struct control` of `faults.c`.
#[derive(Debug, Clone, Copy)]
struct Control {
    write_ppm: u32,
    sync_ppm: u32,
    truncate_ppm: u32,
    room: i64,
}

const SOUND: Control = Control {
    write_ppm: 0,
    sync_ppm: 0,
    truncate_ppm: 0,
    room: i64::MAX,
};

/// Where the count of faults is in it.
const INJECTED: u64 = 24;

/// The disk of one database: a folder, and who may make its calls fail.
pub struct Disk {
    folder: PathBuf,
    control: File,
    /// Whether the folder is a file system of its own, of which this is the filler.
    filler: Option<PathBuf>,
    seed: u64,
}

impl Disk {
    /// Makes `folder`, which is empty, a disk of so many MB, and builds the shim in it.
    pub fn new(folder: &Path, megabytes: usize, seed: u64) -> Self {
        let is_mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={megabytes}m,mode=755"))
            .args(["library-sync-test", folder.to_str().unwrap()])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !is_mounted {
            println!("no tmpfs can be mounted here: the shim refuses growth instead");
        }
        let source = repository().join("tests/it/database/durability/faults.c");
        let built = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(folder.join("faults.so"))
            .arg(source)
            .arg("-ldl")
            .status()
            .unwrap();
        assert!(built.success(), "faults.c does not compile");
        let path = folder.join("faults");
        let control = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        control
            .set_permissions(PermissionsExt::from_mode(0o666))
            .unwrap();
        control.write_all_at(&[0; 32], 0).unwrap();
        let disk = Self {
            folder: folder.to_owned(),
            control,
            filler: is_mounted.then(|| folder.join("filler")),
            seed,
        };
        disk.set(SOUND);
        disk
    }

    /// What makes a process meet the faults.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.folder.join(name).to_str().unwrap().to_owned();
        vec![
            ("LD_PRELOAD", path("faults.so")),
            ("FAULTS_CONTROL", path("faults")),
            ("FAULTS_FOLDER", path("data")),
            ("FAULTS_SEED", self.seed.to_string()),
        ]
    }

    /// Begins a fault, which ends when what this returns is dropped.
    pub fn begin(&self, fault: Fault) -> Mended<'_> {
        match fault {
            Fault::FullDisk if self.filler.is_some() => self.fill(),
            Fault::FullDisk => self.set(Control { room: 0, ..SOUND }),
            Fault::Writes => self.set(Control {
                write_ppm: 20_000,
                ..SOUND
            }),
            Fault::Syncs => self.set(Control {
                sync_ppm: 100_000,
                ..SOUND
            }),
            Fault::Everything => self.set(Control {
                write_ppm: 10_000,
                sync_ppm: 30_000,
                truncate_ppm: 300_000,
                room: 2_000_000,
            }),
        }
        Mended(self)
    }

    /// How many calls have failed because of the shim, or would have on a full disk.
    pub fn injected(&self) -> u64 {
        let mut count = [0; 8];
        self.control.read_exact_at(&mut count, INJECTED).unwrap();
        u64::from_ne_bytes(count)
    }

    fn set(&self, control: Control) {
        for (at, ppm) in [control.write_ppm, control.sync_ppm, control.truncate_ppm]
            .iter()
            .enumerate()
        {
            let at = 4 * at as u64;
            self.control.write_all_at(&ppm.to_ne_bytes(), at).unwrap();
        }
        let room = control.room.to_ne_bytes();
        self.control.write_all_at(&room, 16).unwrap();
    }

    fn fill(&self) {
        let mut filler = File::create(self.filler.as_ref().unwrap()).unwrap();
        let page = [1; 4096];
        while filler.write_all(&page).is_ok() {}
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.filler.is_some() {
            let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
        }
    }
}

/// A fault under way.
pub struct Mended<'a>(&'a Disk);

impl Drop for Mended<'_> {
    fn drop(&mut self) {
        self.0.set(SOUND);
        if let Some(filler) = &self.0.filler {
            let _ = std::fs::remove_file(filler);
        }
    }
}
