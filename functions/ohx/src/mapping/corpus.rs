//! Recorded pages in a folder.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use ohx_mapping::MapError;

use super::Out;

/// From how many pages on there is a bar, where somebody looks on.
const MANY: usize = 50;

/// The pages of a folder and of those in it: `*.json`, but for `*.expected.json`.
pub(super) struct Corpus {
    pages: Vec<PathBuf>,
    /// Folders that could not be looked into, and why.
    closed: Vec<String>,
}

impl Corpus {
    /// Finds the pages.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let mut corpus = Self { pages: Vec::new(), closed: Vec::new() };
        let mut folders = vec![folder.to_owned()];
        // Folders that are linked in a ring are looked into once.
        let mut seen = BTreeSet::new();
        while let Some(next) = folders.pop() {
            match corpus.folder(&next, &mut folders, &mut seen) {
                Ok(()) => {}
                Err(error) if next == folder => {
                    return Err(error)
                        .with_context(|| format!("the corpus {} cannot be read", folder.display()));
                }
                Err(error) => corpus.closed.push(format!("{}: {error}", next.display())),
            }
        }
        if corpus.pages.is_empty() {
            bail!("there are no recorded pages (*.json) in {}", folder.display());
        }
        corpus.pages.sort();
        Ok(corpus)
    }

    fn folder(
        &mut self,
        folder: &Path,
        folders: &mut Vec<PathBuf>,
        seen: &mut BTreeSet<PathBuf>,
    ) -> std::io::Result<()> {
        if !seen.insert(fs::canonicalize(folder)?) {
            return Ok(());
        }
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".json") && !name.ends_with(".expected.json") {
                self.pages.push(path);
            }
        }
        Ok(())
    }

    /// How many pages there are.
    pub(super) fn len(&self) -> usize {
        self.pages.len()
    }

    /// Gives every page to `take`, and prints what comes of it. What cannot be read or mapped is told by file, and
    /// counted; it does not stop the rest.
    pub(super) fn each(
        &self,
        out: &mut Out,
        mut take: impl FnMut(&Path, &[u8]) -> Result<String, MapError>,
    ) -> anyhow::Result<usize> {
        let bar = if self.pages.len() < MANY {
            ProgressBar::hidden()
        } else {
            // Hidden where standard error is not a terminal.
            ProgressBar::new(self.pages.len() as u64)
                .with_style(ProgressStyle::with_template("  {bar:40} {pos}/{len} pages, {elapsed}")?)
        };
        let mut failed = self.closed.len();
        self.closed.iter().for_each(|what| eprintln!("{what}"));
        for file in &self.pages {
            let page = fs::read(file).map_err(|e| e.to_string());
            match page.and_then(|page| take(file, &page).map_err(|e| e.to_string())) {
                Ok(text) if text.is_empty() => {}
                Ok(text) => bar.suspend(|| out.write_all(text.as_bytes()).and_then(|()| out.flush()))?,
                Err(why) => {
                    failed += 1;
                    bar.suspend(|| eprintln!("{}: {why}", file.display()));
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(failed)
    }
}
