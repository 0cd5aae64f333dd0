//! Whether a configuration can be used: what a start would find, without making, locking or connecting to anything.

use std::path::Path;

use courant_auth::Secret;
use courant_runtime::command_line::Problems;
use url::Url;

use crate::config::Config;
use crate::data_dir;
#[cfg(feature = "nats")]
use crate::nats::NatsFlags;
use crate::objects::Objects;

/// Notes what is wrong with the service's configuration.
pub fn check(config: &Config, problems: &mut Problems) {
    let data_dir = &config.data_dir;
    problems.check("configuration", config.check());
    problems.check("--data-dir", data_dir::check(data_dir));
    let password_key = config.password_key_file.clone().unwrap_or_else(|| data_dir.join("password.key"));
    check_secret("--password-key-file", &password_key, data_dir, problems);
    if config.push.push_contact.is_some() {
        let push_key = config.push.push_key_file.clone().unwrap_or_else(|| data_dir.join("push.key"));
        check_secret("--push-key-file", &push_key, data_dir, problems);
    }
    check_objects(config, problems);
    check_audit_log(config, problems);
}

/// A start makes the file, but no folder besides the data folder.
fn check_audit_log(config: &Config, problems: &mut Problems) {
    let Some(file) = &config.audit.audit_log else { return };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = match folder.is_dir() || folder == config.data_dir {
        true => data_dir::check_writable(folder).map_err(|error| error.to_string()),
        false => Err(format!("{} cannot be made: there is no folder {}", file.display(), folder.display())),
    };
    problems.check("--audit-log", made);
}

/// The secret of tokens, and other files with a key. A start makes those that are missing, but no folder besides the data folder.
pub fn check_secret(flag: &str, file: &Path, data_dir: &Path, problems: &mut Problems) {
    if file.exists() {
        problems.check(flag, Secret::load(file));
        return;
    }
    let folder = match file.parent() {
        Some(folder) if folder == data_dir => return,
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let made = match folder.is_dir() {
        true => data_dir::check_writable(folder).map_err(|error| format!("{} cannot be made: {error}", file.display())),
        false => Err(format!("{} cannot be made: there is no folder {}", file.display(), folder.display())),
    };
    problems.check(flag, made);
}

/// Where documents go. Other stores than folders are not asked: they may be away when a server starts.
fn check_objects(config: &Config, problems: &mut Problems) {
    let Some(text) = &config.objects else { return };
    let Some(url) = problems.check("--objects", text.parse::<Url>()) else { return };
    if url.scheme() != "file" {
        problems.check("--objects", Objects::at(text, config.objects_credentials_file.as_deref()));
        return;
    }
    let folder = url.to_file_path().map_err(|()| format!("{text} is not a local path"));
    if let Some(folder) = problems.check("--objects", folder) {
        problems.check("--objects", data_dir::check_writable(&folder));
    }
}

/// Files with what the log on NATS asks for. NATS itself is not asked: it may be away when a server starts.
#[cfg(feature = "nats")]
pub fn check_nats(flags: &NatsFlags, problems: &mut Problems) {
    if let Some(named) = problems.check("--log", flags.check()) {
        for (flag, file) in named {
            problems.check(flag, std::fs::File::open(&file).map_err(|error| format!("{}: {error}", file.display())));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn found(change: impl FnOnce(&mut Config)) -> Vec<String> {
        let home = tempfile::tempdir().unwrap();
        let mut config = Config::new(home.path().join("data"));
        change(&mut config);
        let mut problems = Problems::default();
        check(&config, &mut problems);
        assert!(!home.path().join("data").exists(), "nothing is made");
        problems.found().to_vec()
    }

    #[test]
    fn all_problems_are_found_at_once_and_each_names_its_flag() {
        assert_eq!(found(|_| {}), Vec::<String>::new());
        let secrets = tempfile::tempdir().unwrap();
        let open = secrets.path().join("open");
        std::fs::write(&open, "x".repeat(64)).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
        let problems = found(|config| {
            config.max_attempts = 0;
            config.objects = Some("ftp://somewhere".into());
            config.password_key_file = Some(open);
            config.push.push_contact = Some("mailto:ops@example.org".into());
            config.push.push_key_file = Some("/no/such/folder/key".into());
        });
        for (at, flag) in ["--max-attempts", "--password-key-file", "--push-key-file", "--objects"].iter().enumerate() {
            assert!(problems[at].starts_with(flag), "{problems:#?}");
        }
        assert_eq!(found(|config| config.data_dir = "/dev/null".into()).len(), 1, "the folder, and not the key in it");
    }
}
