//! What of this process's own a container takes, and gives back.

use crate::{
    support::alone::{descriptors, is_alone, settled},
    wsgi::apps::{APP, App, until, within},
};

#[tokio::test]
async fn a_worker_takes_five_descriptors_and_one_more_for_each_further_thread() {
    let test = "wsgi::supervision::descriptors::\
                a_worker_takes_five_descriptors_and_one_more_for_each_further_thread";
    if !is_alone(test) {
        return;
    }
    let app = App::new(APP);
    for (threads, preload) in [(1, false), (3, false), (1, true)] {
        let builder = app.builder().workers(1).threads(threads).preload(preload);
        // What the runtime opens the first time.
        let warm = builder.clone().spawn().await.unwrap();
        within(warm.handle().shutdown()).await;
        drop(warm);
        let before = descriptors();

        let container = builder.spawn().await.unwrap();
        let each = match preload {
            // The tether and the output are those of the template.
            true => 2,
            false => 4 + usize::from(threads),
        };
        let one = descriptors();
        container.handle().resize(4);
        let four = 4 * usize::from(threads);
        until(&container, |status| status.idle == four).await;
        assert_eq!(descriptors(), one + 3 * each, "{threads} {preload}");

        for _ in 0..2 {
            within(container.handle().reload()).await.unwrap();
        }
        until(&container, |status| status.workers.len() == 4).await;
        let same = || match descriptors() == one + 3 * each {
            true => None,
            false => Some(format!("{} descriptors", descriptors())),
        };
        settled(same).await.unwrap();
        within(container.handle().shutdown()).await;
        drop(container);
        let none = || match descriptors() == before {
            true => None,
            false => Some(format!("{} descriptors", descriptors())),
        };
        settled(none).await.unwrap();
    }
}
