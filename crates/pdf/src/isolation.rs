//! Finds out at start how the children are isolated on this machine, and writes it into the log.
//!
//! One child of each kind is started once: kernels and containers differ in what they allow, and a layer that is missing must
//! not be noticed only after an incident.

use std::process::Command;

use crate::ocr::tesseract::Tesseract;
use crate::process::std_command;
use crate::protocol::{ChildTask, JAIL, Request};
use crate::{OcrChoice, PdfConfig};

/// Words for a child of which nothing could be found out.
const UNKNOWN: &str = "children of this kind cannot be isolated or started; their documents will fail";

/// Starts them and logs their layers. Blocks for some milliseconds.
pub(crate) fn log(config: &PdfConfig) {
    let request = Request { parent: std::process::id(), limits: config.child_limits(), task: ChildTask::Probe };
    log_one("pdf", std_command(&config.child, &request));
    if let OcrChoice::Tesseract(tesseract) = &config.ocr {
        let tesseract = Tesseract::new(tesseract.clone(), config.child.clone(), config.work_dir.clone());
        log_one("ocr", tesseract.probe());
    }
}

fn log_one(child: &str, command: std::io::Result<Command>) {
    let output = match command.and_then(|mut command| command.output()) {
        Ok(output) => output,
        Err(error) => return tracing::error!(child, %error, UNKNOWN),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let layers = said.lines().find_map(|line| line.strip_prefix(JAIL));
    match layers {
        Some(layers) if !output.status.success() => {
            tracing::error!(child, status = ?output.status, said = said.trim(), "{UNKNOWN} ({JAIL}{layers})");
        }
        Some(layers) if ["landlock off", "seccomp off"].iter().any(|part| layers.contains(part)) => {
            tracing::warn!(child, "this system isolates children only in part: {JAIL}{layers}");
        }
        Some(layers) => tracing::info!(child, "{JAIL}{layers}"),
        None => tracing::error!(child, status = ?output.status, said = said.trim(), UNKNOWN),
    }
}
