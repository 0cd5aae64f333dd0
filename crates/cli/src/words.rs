//! The words of the command line for the numbers on the wire. The words for output are those of the browser protocol.

use courant_proto::v1::{JobState, Lane, ResultFormat};

use crate::args::{FormatName, LaneName, StateName};

impl From<LaneName> for Lane {
    fn from(name: LaneName) -> Self {
        match name {
            LaneName::Premium => Self::Premium,
            LaneName::Normal => Self::Normal,
            LaneName::Large => Self::Large,
        }
    }
}

impl From<StateName> for JobState {
    fn from(name: StateName) -> Self {
        match name {
            StateName::Queued => Self::Queued,
            StateName::Running => Self::Running,
            StateName::Cancelling => Self::Cancelling,
            StateName::Succeeded => Self::Succeeded,
            StateName::Failed => Self::Failed,
            StateName::Cancelled => Self::Cancelled,
        }
    }
}

impl From<FormatName> for ResultFormat {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Json => Self::Json,
            FormatName::Md => Self::Markdown,
            FormatName::Txt => Self::Text,
            FormatName::Html => Self::Html,
        }
    }
}

/// Whether nothing more will happen by itself.
pub fn is_terminal(state: JobState) -> bool {
    match state {
        JobState::Succeeded | JobState::Failed | JobState::Cancelled => true,
        JobState::Unspecified | JobState::Queued | JobState::Running | JobState::Cancelling => false,
    }
}
