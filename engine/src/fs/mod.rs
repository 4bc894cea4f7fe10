//! The file system: files that appear when they are whole, trees read and written below a directory that
//! nothing can lead out of.

mod append;
mod atomic;
mod beneath;
mod copy;
mod file;
mod lock;
mod locked_file;
mod mapped;
mod meta;
mod new_dirs;
mod nursery;
mod partial;
mod remove;
mod root;
mod scratch;
mod staged;
mod stoppable;
mod walk;
mod xattr;

pub use append::AppendFile;
pub use atomic::{AtomicFile, OutputFile, replace_file, replace_private_file};
pub(crate) use copy::copy_range;
pub use file::{
    create_dir_all, exists, is_dir, is_file, is_regular, open_input, open_regular, read_dir, read_limited,
    remove_dir_all, remove_file, rename, size_of, stdin, stdout,
};
pub use lock::{DirLock, FileLock};
pub use locked_file::{LockedFile, remove_stale};
pub use mapped::map;
pub use meta::{Kind, Status, is_root, own_ids};
pub use new_dirs::NewDirs;
pub use nursery::{Nursery, NurseryFile};
pub use partial::PartialFile;
pub use root::{NewFile, Root};
pub use scratch::ScratchDir;
pub use staged::StagedDir;
pub use stoppable::Stoppable;
pub use walk::{DirFile, DirTree, data_runs};
pub use xattr::Xattrs;
