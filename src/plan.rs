//! The JSON plan: which frames are unique, and whose result each frame uses.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Records, frame by frame, whose result each one uses, and writes the plan.
#[derive(Clone, Debug)]
pub struct Recorder {
    frames: Vec<Frame>,
    parallel_jobs: usize,
    reuse: Reuse,
}

/// What reuse saved, or would save.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Reuse {
    /// Percentage of the frame area that is reused from earlier frames.
    pub reused_percentage: f64,
    /// Inference time saved, in seconds; null if no network ran.
    pub saved_seconds: Option<f64>,
    /// The predicted percentage for each mode; only if no network ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Prediction>,
}

/// Percentage of the frame area that each mode of `duplicates` would reuse from earlier frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Prediction {
    pub off: f64,
    pub exact: f64,
    pub similar: f64,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    pts: Option<u64>,
    /// Index of the first frame that looks the same; its own index if there is none.
    unique: u64,
}

/// The plan as written; the keys are the file format.
#[derive(Debug, Deserialize, Serialize)]
struct Plan {
    frames_to_process: Vec<String>,
    frame_output_mapping: BTreeMap<u64, Mapping>,
    stats: Stats,
}

#[derive(Debug, Deserialize, Serialize)]
struct Mapping {
    input_path: String,
    unique_frame: String,
    output_path: String,
    is_duplicate: bool,
    /// Nanoseconds, or null.
    pts: Option<u64>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Stats {
    total_frames: u64,
    unique_frames: u64,
    duplicates: u64,
    duplicate_percentage: f64,
    parallel_jobs: usize,
    #[serde(flatten)]
    reuse: Reuse,
}

/// Names of frames in a plan, from their index, counted from 0.
pub trait Names {
    fn input(&self, index: u64) -> String;
    fn output(&self, index: u64) -> String;
}

/// Names for frames that are not files: `frame_00001` for the first.
pub struct Numbered;

impl Names for Numbered {
    fn input(&self, index: u64) -> String {
        format!("frame_{:05}", index + 1)
    }
    fn output(&self, index: u64) -> String {
        self.input(index)
    }
}

impl Recorder {
    /// `parallel_jobs`: number of frames upscaled at a time.
    pub fn new(parallel_jobs: usize) -> Self {
        Recorder { frames: Vec::new(), parallel_jobs, reuse: Reuse::default() }
    }

    /// Records the next frame. `unique` is the index of the first frame that looks the same, or its own index if there
    /// is none.
    pub fn record(&mut self, pts: Option<u64>, unique: u64) {
        debug_assert!(unique <= self.frames.len() as u64);
        self.frames.push(Frame { pts, unique });
    }

    /// Records the totals of what reuse has saved.
    pub fn set_reuse(&mut self, reuse: Reuse) {
        self.reuse = reuse;
    }

    /// Removes all frames.
    pub fn clear(&mut self) {
        self.frames.clear();
    }

    /// Number of frames recorded.
    pub fn frames(&self) -> u64 {
        self.frames.len() as u64
    }

    /// Number of frames that differ from all earlier ones.
    pub fn unique_frames(&self) -> u64 {
        self.frames.iter().zip(0..).filter(|(frame, index)| frame.unique == *index).count() as u64
    }

    /// Writes the plan to `path` atomically, through a temporary file in the same directory: a reader sees either the
    /// old plan or the complete new one.
    pub fn write(&self, path: &Path, names: &dyn Names) -> io::Result<()> {
        self.plan(names).write(path)
    }

    /// Writes the plan to `to`.
    pub fn write_to(&self, to: impl Write, names: &dyn Names) -> io::Result<()> {
        self.plan(names).write_to(to)
    }

    fn plan(&self, names: &dyn Names) -> Plan {
        let indexed = || self.frames.iter().zip(0u64..);
        let (total, unique) = (self.frames(), self.unique_frames());
        Plan {
            frames_to_process: indexed()
                .filter(|(frame, index)| frame.unique == *index)
                .map(|(_, index)| names.input(index))
                .collect(),
            frame_output_mapping: indexed()
                .map(|(frame, index)| {
                    let mapping = Mapping {
                        input_path: names.input(index),
                        unique_frame: names.input(frame.unique),
                        output_path: names.output(index),
                        is_duplicate: frame.unique != index,
                        pts: frame.pts,
                    };
                    (index, mapping)
                })
                .collect(),
            stats: Stats {
                total_frames: total,
                unique_frames: unique,
                duplicates: total - unique,
                duplicate_percentage: crate::stats::percentage(total - unique, total),
                parallel_jobs: self.parallel_jobs,
                reuse: self.reuse,
            },
        }
    }
}

impl Plan {
    fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = temporary_for(path)?;
        self.write_to(file.as_file_mut())?;
        file.persist(path)?;
        Ok(())
    }

    fn write_to(&self, to: impl Write) -> io::Result<()> {
        let mut to = io::BufWriter::new(to);
        serde_json::to_writer_pretty(&mut to, self)?;
        to.write_all(b"\n")?;
        to.flush()
    }
}

/// Gives the frames of the plan at `path`, which were [`Numbered`] when it was written, other names.
pub fn rename(path: &Path, names: &dyn Names) -> io::Result<()> {
    let mut plan: Plan = serde_json::from_slice(&std::fs::read(path)?)?;
    let index_of: HashMap<String, u64> =
        plan.frame_output_mapping.keys().map(|index| (Numbered.input(*index), *index)).collect();
    let renamed = |name: &String| index_of.get(name).map_or_else(|| name.clone(), |index| names.input(*index));
    plan.frames_to_process = plan.frames_to_process.iter().map(renamed).collect();
    for (index, frame) in &mut plan.frame_output_mapping {
        frame.input_path = names.input(*index);
        frame.unique_frame = renamed(&frame.unique_frame);
        frame.output_path = names.output(*index);
    }
    plan.write(path)
}

/// Checks whether a plan could be written to `path`, without leaving anything there.
pub fn check_writable(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    temporary_for(path).map(drop)
}

/// A temporary file in the directory of `path`, removed on drop.
fn temporary_for(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).map_or(PathBuf::from("."), PathBuf::from);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".upscale-plan-");
    #[cfg(unix)]
    {
        // As for any file that a program writes: the umask applies.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(recorder: &Recorder) -> serde_json::Value {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        recorder.write(&path, &Numbered).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn the_plan_has_exactly_its_keys() {
        let mut recorder = Recorder::new(2);
        recorder.record(Some(0), 0);
        recorder.record(Some(40_000_000), 0);
        recorder.record(None, 2);
        recorder.set_reuse(Reuse { reused_percentage: 50.0, saved_seconds: Some(1.5), predicted: None });
        assert_eq!(
            written(&recorder),
            json!({
                "frames_to_process": ["frame_00001", "frame_00003"],
                "frame_output_mapping": {
                    "0": {"input_path": "frame_00001", "unique_frame": "frame_00001", "output_path": "frame_00001",
                          "is_duplicate": false, "pts": 0},
                    "1": {"input_path": "frame_00002", "unique_frame": "frame_00001", "output_path": "frame_00002",
                          "is_duplicate": true, "pts": 40_000_000},
                    "2": {"input_path": "frame_00003", "unique_frame": "frame_00003", "output_path": "frame_00003",
                          "is_duplicate": false, "pts": null},
                },
                "stats": {"total_frames": 3, "unique_frames": 2, "duplicates": 1, "duplicate_percentage": 100.0 / 3.0,
                          "parallel_jobs": 2, "reused_percentage": 50.0, "saved_seconds": 1.5},
            })
        );
    }

    #[test]
    fn a_written_plan_can_be_given_other_names() {
        struct Files;
        impl Names for Files {
            fn input(&self, index: u64) -> String {
                format!("in/{index}.png")
            }
            fn output(&self, index: u64) -> String {
                format!("out/{index}.png")
            }
        }
        let mut recorder = Recorder::new(2);
        recorder.record(Some(0), 0);
        recorder.record(None, 0);
        recorder.set_reuse(Reuse {
            reused_percentage: 50.0,
            saved_seconds: None,
            predicted: Some(Prediction::default()),
        });
        let folder = tempfile::tempdir().unwrap();
        let (numbered, named) = (folder.path().join("numbered"), folder.path().join("named"));
        recorder.write(&numbered, &Numbered).unwrap();
        rename(&numbered, &Files).unwrap();
        recorder.write(&named, &Files).unwrap();
        assert_eq!(std::fs::read_to_string(numbered).unwrap(), std::fs::read_to_string(named).unwrap());
    }

    #[test]
    fn an_empty_plan_is_valid() {
        assert_eq!(written(&Recorder::new(1))["stats"]["duplicate_percentage"], 0.0);
    }

    #[test]
    fn an_unwritable_path_is_detected_beforehand() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_writable(&folder.path().join("plan.json")).is_ok());
        assert!(check_writable(folder.path()).is_err());
        assert!(check_writable(&folder.path().join("no such folder/plan.json")).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
