//! What the `metrics` facade is told of workers.

use metrics::with_local_recorder;
use rustix::process::Signal;
use tokio::runtime::Builder;

use crate::{
    support::counted::Counted,
    wsgi::apps::{APP, App, ask, kill, until, within},
};

#[test]
fn the_metrics_facade_is_told_what_workers_are_at_and_why_they_are_replaced() {
    let counted = Counted::default();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    with_local_recorder(&counted, || {
        runtime.block_on(async {
            let app = App::new(APP);
            let builder = app.builder().workers(2);
            let container = builder.spawn().await.unwrap();
            let is = |name: &str| counted.of(&format!("tower_gateway_wsgi_{name}"));
            let pid = ask(&container, "/").await.pid();
            assert_eq!(is("workers app:application ready"), 2.0);
            until(&container, |status| status.workers[0].memory.is_some()).await;
            assert!(is("memory_bytes app:application") > 1e6);

            kill(pid, Signal::KILL);
            until(&container, |status| status.crashes == 1 && status.idle == 2).await;
            assert_eq!(is("workers app:application ready"), 2.0);
            within(container.handle().reload()).await.unwrap();
            app.write("undefined\n");
            within(container.handle().reload()).await.unwrap_err();
            within(container.handle().shutdown()).await;
            for (reason, times) in [
                ("crash", 1.0),
                ("reload", 2.0),
                ("failed_boot", 1.0),
                ("shutdown", 2.0),
            ] {
                let name = format!("replaced_total app:application {reason}");
                assert_eq!(is(&name), times, "{reason}");
            }
            assert_eq!(counted.sum("tower_gateway_wsgi_workers"), 0.0);
            assert_eq!(is("memory_bytes app:application"), 0.0);
            assert!(counted.described().contains("tower_gateway_wsgi_workers"));
        });
    });
}
