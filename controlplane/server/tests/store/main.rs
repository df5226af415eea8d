//! What every store promises, asked of the embedded one and of a real etcd; and what each promises by itself.
#![cfg(test)]

mod chaos;
mod corrupt;
mod crash;
mod etcd;
mod large;
mod login;
mod outage;
mod scratch;
mod shared;
mod usage;
mod world;

/// Each promise once for each store.
macro_rules! of_both {
    ($($module:ident::$promise:ident,)*) => {
        mod embedded_store {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                crate::$module::$promise(crate::world::World::embedded()).await;
            })*
        }
        mod etcd_store {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                crate::$module::$promise(crate::world::World::etcd().await).await;
            })*
        }
    };
}

of_both! {
    shared::a_commit_is_loaded_back_with_its_revision,
    shared::of_two_commits_on_one_revision_the_second_is_refused,
    shared::each_watcher_is_told_each_revision_once_and_in_order,
    shared::a_watch_begins_where_a_load_ended,
    shared::a_watch_from_a_revision_nobody_remembers_says_relist,
    shared::a_large_transaction_is_seen_whole_or_not_at_all,
    shared::two_writers_lose_no_change,
    shared::a_reopened_store_is_the_same_store,
    shared::a_document_that_is_too_large_is_refused_and_nothing_is_written,
    usage::a_report_is_counted_once_wherever_it_is_sent,
    usage::a_gap_is_told_and_what_came_is_counted,
    usage::rows_add_up_in_any_grouping,
    usage::only_what_was_asked_for_is_added_up,
    usage::pages_follow_each_other_without_a_row_lost,
    usage::reports_of_any_size_are_counted_once,
    usage::a_reopened_log_goes_on_where_it_was,
    usage::old_minutes_are_forgotten_and_young_ones_kept,
}
