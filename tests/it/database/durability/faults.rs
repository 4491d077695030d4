//! Disk faults of a process: `faults.c`, built and preloaded, and a full disk.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::{FileExt as _, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::test_app::repository;

/// A fault of the disk.
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

const NO_FAULTS: Control = Control {
    write_ppm: 0,
    sync_ppm: 0,
    truncate_ppm: 0,
    room: i64::MAX,
};

/// The offset of its fault counter.
const INJECTED_OFFSET: u64 = 24;

/// The disk of one database: a folder, and the control file of the shim.
pub struct Disk {
    folder: PathBuf,
    control: File,
    /// The file that fills the disk, if the folder is its own file system.
    filler: Option<PathBuf>,
    seed: u64,
}

impl Disk {
    /// Mounts a disk of `megabytes` MB on the empty `folder`, and builds the shim in it.
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
        disk.set(NO_FAULTS);
        disk
    }

    /// The environment that preloads the shim into a process.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.folder.join(name).to_str().unwrap().to_owned();
        vec![
            ("LD_PRELOAD", path("faults.so")),
            ("FAULTS_CONTROL", path("faults")),
            ("FAULTS_FOLDER", path("data")),
            ("FAULTS_SEED", self.seed.to_string()),
        ]
    }

    /// Starts a fault, which ends when the returned guard is dropped.
    pub fn begin(&self, fault: Fault) -> RunningFault<'_> {
        match fault {
            Fault::FullDisk if self.filler.is_some() => self.fill(),
            Fault::FullDisk => self.set(Control {
                room: 0,
                ..NO_FAULTS
            }),
            Fault::Writes => self.set(Control {
                write_ppm: 20_000,
                ..NO_FAULTS
            }),
            Fault::Syncs => self.set(Control {
                sync_ppm: 100_000,
                ..NO_FAULTS
            }),
            Fault::Everything => self.set(Control {
                write_ppm: 10_000,
                sync_ppm: 30_000,
                truncate_ppm: 300_000,
                room: 2_000_000,
            }),
        }
        RunningFault(self)
    }

    /// The number of calls that failed because of the shim or a full disk.
    pub fn injected(&self) -> u64 {
        let mut count = [0; 8];
        self.control
            .read_exact_at(&mut count, INJECTED_OFFSET)
            .unwrap();
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

/// Ends its fault when it is dropped.
pub struct RunningFault<'a>(&'a Disk);

impl Drop for RunningFault<'_> {
    fn drop(&mut self) {
        self.0.set(NO_FAULTS);
        if let Some(filler) = &self.0.filler {
            let _ = std::fs::remove_file(filler);
        }
    }
}
