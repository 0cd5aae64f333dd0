//! Files of jobs in the store, and how they are removed.

use courant_joblog::ids::JobId;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;

use super::store::{Objects, ignore_not_found};
use crate::error::Error;
use crate::job_folder::JobFolder;

/// Something that lies directly below a job's id.
#[derive(Clone, Debug)]
pub struct Entry {
    path: Path,
    is_folder: bool,
}

impl Objects {
    /// Where a file of a job lies.
    pub fn job_file(&self, folder: &JobFolder, name: &str) -> Path {
        self.path(&format!("{}/{name}", folder.path()))
    }

    /// Where a sealed password of a job lies. Each has its own name, so that removing an old one harms no new one.
    pub fn password(&self, folder: &JobFolder, name: &str) -> Path {
        self.path(&format!("{}/password-{name}", folder.path()))
    }

    /// Removes everything a job has here; nothing there is fine.
    pub async fn remove_folder(&self, folder: &JobFolder) -> Result<(), Error> {
        let entries = if folder.own().is_some() {
            vec![Entry { path: self.path(&folder.path()), is_folder: true }]
        } else {
            let mut entries = self.entries(folder.job()).await?;
            // What another server has made again under this id since.
            entries.retain(|entry| !entry.path.filename().is_some_and(JobFolder::is_own));
            entries
        };
        self.remove_entries(folder.job(), entries).await
    }

    /// What lies below a job's id.
    pub async fn entries(&self, job: &JobId) -> Result<Vec<Entry>, Error> {
        let found = self.store.list_with_delimiter(Some(&self.path(&format!("jobs/{job}")))).await?;
        let folders = found.common_prefixes.into_iter().map(|path| Entry { path, is_folder: true });
        let files = found.objects.into_iter().map(|meta| Entry { path: meta.location, is_folder: false });
        Ok(folders.chain(files).collect())
    }

    /// Removes these, with all that is in them, and nothing that has another name.
    pub async fn remove_entries(&self, job: &JobId, entries: Vec<Entry>) -> Result<(), Error> {
        for Entry { path, is_folder } in entries {
            match &self.folder {
                // As a whole: its crate neither lists unfinished uploads nor removes folders.
                Some(root) if is_folder => {
                    ignore_not_found(tokio::fs::remove_dir_all(root.join(path.as_ref())).await)?;
                }
                None if is_folder => self.remove_below(&path).await?,
                _ => self.delete(&path).await?,
            }
        }
        if let Some(root) = &self.folder {
            // Only if nothing is left in it.
            let _ = tokio::fs::remove_dir(root.join(self.path(&format!("jobs/{job}")).as_ref())).await;
        }
        Ok(())
    }

    pub(super) async fn remove_below(&self, path: &Path) -> Result<(), Error> {
        let files = self.store.list(Some(path)).map_ok(|meta| meta.location).boxed();
        let gone = self.store.delete_stream(files);
        Ok(gone.try_for_each(|_| std::future::ready(Ok(()))).await?)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn folders() -> (JobFolder, JobFolder) {
        let job = JobId::new("J");
        (JobFolder::new(job.clone(), None), JobFolder::for_new(job, true))
    }

    async fn put(objects: &Objects, folder: &JobFolder) -> Path {
        let path = objects.job_file(folder, "document-abc");
        objects.put(&path, b"%PDF".to_vec()).await.unwrap();
        path
    }

    #[tokio::test]
    async fn a_removed_job_leaves_no_files_not_even_unfinished_ones() {
        for is_shared in [false, true] {
            let root = tempfile::tempdir().unwrap();
            let objects = Objects::local(root.path()).unwrap();
            let folder = JobFolder::for_new(JobId::new("J"), is_shared);
            put(&objects, &folder).await;
            let mut cut_off = objects.write(objects.job_file(&folder, "a1/pages/000001.json"));
            cut_off.push(Bytes::from(vec![0; (1 << 20) + 1])).await.unwrap();
            assert_eq!(objects.jobs().await.unwrap(), [JobId::new("J")]);
            objects.remove_folder(&folder).await.unwrap();
            objects.remove_folder(&folder).await.unwrap();
            assert!(objects.jobs().await.unwrap().is_empty());
            drop(cut_off);
        }
    }

    #[tokio::test]
    async fn files_of_a_job_made_again_under_one_id_stay_when_those_of_the_first_go() {
        let root = tempfile::tempdir().unwrap();
        let objects = Objects::local(root.path()).unwrap();
        let (first, second) = folders();
        let third = JobFolder::for_new(JobId::new("J"), true);
        let (one, two, three) =
            (put(&objects, &first).await, put(&objects, &second).await, put(&objects, &third).await);
        objects.remove_folder(&first).await.unwrap();
        objects.remove_folder(&third).await.unwrap();
        assert!(objects.exists(&two).await.unwrap());
        assert!(!objects.exists(&one).await.unwrap() && !objects.exists(&three).await.unwrap());
    }

    #[tokio::test]
    async fn what_comes_after_entries_were_listed_is_not_removed_with_them() {
        let root = tempfile::tempdir().unwrap();
        let objects = Objects::local(root.path()).unwrap();
        let (first, second) = folders();
        let one = put(&objects, &first).await;
        let found = objects.entries(first.job()).await.unwrap();
        let two = put(&objects, &second).await;
        objects.remove_entries(first.job(), found).await.unwrap();
        assert!(!objects.exists(&one).await.unwrap() && objects.exists(&two).await.unwrap());
    }
}
