//! Which symbolic links are followed, as a client sees it.

use std::{
    fs,
    os::unix::fs::{MetadataExt, lchown, symlink},
};

use tower_gateway::static_files::Symlinks;

use super::tree::{SECRET, Tree, get};

fn linked() -> Tree {
    let tree = Tree::of(&[("a.txt", "public"), ("dir/index.html", "public")]);
    let root = tree.root();
    symlink("a.txt", root.join("link.txt")).unwrap();
    symlink("dir", root.join("linked-dir")).unwrap();
    symlink(root.join("a.txt"), root.join("absolute.txt")).unwrap();
    symlink("../outside", root.join("out")).unwrap();
    symlink(tree.outside().join("secret.txt"), root.join("out.txt")).unwrap();
    tree
}

#[tokio::test]
async fn each_policy_follows_the_links_it_names() {
    let tree = linked();
    for (target, expected) in [
        // None, Within, OwnerMatch, Anywhere.
        ("/a.txt", [200; 4]),
        ("/dir/", [200; 4]),
        ("/link.txt", [404, 200, 200, 200]),
        ("/absolute.txt", [404, 200, 200, 200]),
        ("/linked-dir/", [404, 200, 200, 200]),
        ("/linked-dir", [404, 308, 308, 308]),
        ("/out/secret.txt", [404, 404, 404, 200]),
        ("/out.txt", [404, 404, 404, 200]),
        ("/../outside/secret.txt", [404; 4]),
        ("/dir/../../outside/secret.txt", [404; 4]),
        ("/out/../secret.txt", [404; 4]),
    ] {
        let policies = [
            Symlinks::None,
            Symlinks::Within,
            Symlinks::OwnerMatch,
            Symlinks::Anywhere,
        ];
        for (policy, expected) in policies.into_iter().zip(expected) {
            let files = tree.files().symlinks(policy);
            // The first is answered by the pool, the second perhaps without it.
            for _ in 0..2 {
                let got = get(&files, target).await;
                assert_eq!(got.status, expected, "{target}, {policy:?}");
                if got.status == 200 {
                    let content = if target.starts_with("/out") {
                        SECRET
                    } else {
                        "public"
                    };
                    assert_eq!(got.text(), content, "{target}, {policy:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn clones_may_differ_in_what_they_follow() {
    let tree = linked();
    let within = tree.files();
    assert_eq!(get(&within, "/link.txt").await.status, 200);
    let none = within.clone().symlinks(Symlinks::None);
    assert_eq!(get(&none, "/link.txt").await.status, 404);
    assert_eq!(get(&within, "/link.txt").await.status, 200);
}

#[tokio::test]
async fn the_root_may_be_a_link_under_each_policy() {
    let tree = linked();
    let current = tree.outside().join("current");
    symlink(tree.root(), &current).unwrap();
    symlink(current.join("a.txt"), tree.root().join("by-link.txt")).unwrap();
    for (policy, by_link) in [
        (Symlinks::None, 404),
        (Symlinks::Within, 200),
        (Symlinks::OwnerMatch, 200),
    ] {
        let files = tower_gateway::StaticFiles::new(&current).symlinks(policy);
        assert_eq!(get(&files, "/a.txt").await.status, 200, "{policy:?}");
        let got = get(&files, "/by-link.txt").await;
        assert_eq!(got.status, by_link, "{policy:?}");
    }
}

#[tokio::test]
async fn nobody_shows_the_files_of_another_by_a_link() {
    let tree = linked();
    let ours = fs::metadata(tree.root()).unwrap().uid();
    let files = tree.files().symlinks(Symlinks::OwnerMatch);
    assert_eq!(get(&files, "/link.txt").await.status, 200);
    if lchown(tree.root().join("link.txt"), Some(ours ^ 1), None).is_ok() {
        assert_eq!(get(&files, "/link.txt").await.status, 404);
        assert_eq!(get(&tree.files(), "/link.txt").await.status, 200);
    } else {
        // Only the superuser can give a file away.
        assert_ne!(ours, 0);
    }
}
