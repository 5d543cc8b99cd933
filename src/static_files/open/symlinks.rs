//! What one can say about symbolic links.

/// Which symbolic links below the root are followed.
///
/// The root itself may be a link, or be below one, whatever is said here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Symlinks {
    /// Those that end within the root. The default.
    ///
    /// Costs nothing where there is no link, and on Linux nothing for a relative one. An absolute
    /// one that leads back into the root takes a walk through the path on the blocking pool.
    #[default]
    Within,
    /// None: a path with a link in it is a miss.
    ///
    /// As nginx's `disable_symlinks on`. On Linux the kernel sees to it, at no cost.
    None,
    /// Those that end within the root, and have the owner of what they lead to.
    ///
    /// For a root into which several users write: none can show the others' files by linking to
    /// them. Each link on the way is held against what it leads to in the end, as nginx's
    /// `disable_symlinks if_not_owner` and Apache's `SymLinksIfOwnerMatch` do it; but a link out
    /// of the root is never followed.
    ///
    /// A path without links costs nothing. One with a link is walked component by component on the
    /// blocking pool: for each, one to four system calls. On Linux the link that is asked for its
    /// owner is the one that is read; elsewhere a link is asked before and after it is read.
    OwnerMatch,
    /// All, wherever they lead, as far as the system lets this process go.
    ///
    /// Who may write into the root can then have every file served that this process may read. The
    /// path of a request still cannot climb out.
    Anywhere,
}
