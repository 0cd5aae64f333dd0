//! Finds out at start how the children are isolated on this machine, and writes it into the log.
//!
//! One child of each kind is started once: kernels and containers differ in what they allow, and a layer that is missing must
//! not be noticed only after an incident.

use std::process::{Command, Output};

use crate::ocr::tesseract::Tesseract;
use crate::process::std_command;
use crate::protocol::{ChildTask, JAIL, Request};
use crate::{OcrChoice, PdfConfig};

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
        Err(error) => {
            return tracing::error!(child, %error, "children of this kind cannot be started; their documents will fail");
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let layers = said.lines().find_map(|line| line.strip_prefix(JAIL));
    match layers {
        Some(layers) if !output.status.success() => {
            cannot_be_isolated(child, &output, layers);
        }
        Some(layers) if ["landlock off", "seccomp off"].iter().any(|part| layers.contains(part)) => {
            tracing::warn!(child, layers, "this system isolates children only in part");
        }
        Some(layers) => tracing::info!(child, layers, "children are isolated"),
        None => cannot_be_isolated(child, &output, ""),
    }
}

fn cannot_be_isolated(child: &str, output: &Output, layers: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    tracing::error!(
        child,
        status = ?output.status,
        said = said.trim(),
        layers,
        "children of this kind cannot be isolated; their documents will fail"
    );
}
