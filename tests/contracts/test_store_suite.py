"""The contract of stores catches stores that do not keep it, and says by which test."""

from __future__ import annotations

import pytest

from plexus.adapters.store.memory import MemoryStore
from plexus.ports.store import Store
from plexus.testing.contracts import failures
from plexus.testing.contracts.store import BucketsContract, CommitContract, EventsContract, MetricsContract
from tests.contracts.broken_stores import (
    AggregatesBooleans,
    CountsALossTwice,
    CountsRepeatsAsSigns,
    CrossesOrganisations,
    FloatsIntegers,
    ForgetsTags,
    HoldsTheWindowsEnd,
    KeepsTheOrderOfArrival,
    LatestByCommit,
    LimitsEachMetric,
    LosesAPoint,
    MovesTheWatermarkOnFailure,
    NewestFirst,
    RoundsBucketsTowardsZero,
    RoundsTimesTwice,
    SharesStreams,
    SharesStreamsOfSources,
    SortsEqualTimes,
    StoresHalfAGroup,
    StoresRepeats,
    TruncatedTooEarly,
)

TIES = "test_a_limit_keeps_the_oldest_or_the_newest_in_ascending_order"


@pytest.mark.parametrize(
    ("broken", "caught_by"),
    [
        (
            LosesAPoint,
            {
                "test_what_is_stored_is_in_every_answer_once",
                "test_equal_times_keep_the_order_of_commit",
                "test_series_are_ascending_whatever_the_order_of_arrival",
            },
        ),
        (
            StoresRepeats,
            {
                "test_a_repeat_is_acknowledged_and_not_stored",
                "test_a_repeat_inside_one_group_is_not_stored",
                "test_a_repeat_under_another_source_is_a_repeat",
                "test_what_was_not_stored_is_no_sign_of_a_source",
            },
        ),
        (CountsALossTwice, {"test_a_declared_loss_is_kept_once_however_often_it_comes"}),
        (
            MovesTheWatermarkOnFailure,
            {"test_a_group_that_fails_moves_no_watermark", "test_a_loss_of_a_group_that_fails_is_not_kept"},
        ),
        (
            StoresHalfAGroup,
            {
                "test_a_group_that_fails_stores_nothing",
                "test_a_group_that_fails_moves_no_watermark",
                "test_a_loss_of_a_group_that_fails_is_not_kept",
            },
        ),
        (CrossesOrganisations, {"test_organisations_never_see_each_other"}),
        (SharesStreams, {"test_streams_of_two_organisations_never_meet"}),
        (
            SharesStreamsOfSources,
            {
                "test_a_stream_takes_nothing_new_from_another_source_than_its_first",
                "test_a_renamed_source_goes_on_with_its_stream_and_its_old_name_does_not",
            },
        ),
        (
            KeepsTheOrderOfArrival,
            {
                "test_series_are_ascending_whatever_the_order_of_arrival",
                "test_equal_times_keep_the_order_of_commit",
                "test_the_limit_counts_all_metrics_together_and_keeps_the_oldest",
                "test_latest_is_the_highest_time_and_not_the_last_commit",
                "test_a_bucket_has_least_most_mean_count_and_last",
                "test_a_bucket_without_a_number_has_count_and_last",
                "test_of_equal_times_the_last_is_what_was_committed_last",
                "test_events_are_ascending_and_equal_times_keep_the_order_of_commit",
                TIES,
            },
        ),
        (
            SortsEqualTimes,
            {
                "test_equal_times_keep_the_order_of_commit",
                "test_events_are_ascending_and_equal_times_keep_the_order_of_commit",
                TIES,
            },
        ),
        (TruncatedTooEarly, {"test_truncated_says_that_there_is_more_and_only_then"}),
        (
            LimitsEachMetric,
            {
                "test_the_limit_counts_all_metrics_together_and_keeps_the_oldest",
                "test_a_limit_among_equal_times_keeps_what_was_committed_first",
                "test_truncated_says_that_there_is_more_and_only_then",
            },
        ),
        (LatestByCommit, {"test_latest_is_the_highest_time_and_not_the_last_commit"}),
        (
            HoldsTheWindowsEnd,
            {
                "test_a_window_holds_its_start_and_not_its_end",
                "test_nanoseconds_count_at_the_ends_of_a_window",
            },
        ),
        (
            FloatsIntegers,
            {"test_values_come_back_as_they_went_in", "test_one_metric_may_hold_values_of_every_type"},
        ),
        (RoundsTimesTwice, {"test_whole_milliseconds_come_back_whole"}),
        (
            AggregatesBooleans,
            {
                "test_only_finite_numbers_are_aggregated_and_every_value_is_counted",
                "test_a_bucket_without_a_number_has_count_and_last",
                "test_the_last_of_a_bucket_keeps_its_type",
            },
        ),
        (RoundsBucketsTowardsZero, {"test_buckets_start_at_whole_multiples_before_1970_too"}),
        (ForgetsTags, {"test_an_event_comes_back_with_value_time_tags_and_source"}),
        (
            NewestFirst,
            {"test_events_are_ascending_and_equal_times_keep_the_order_of_commit", TIES},
        ),
        (
            CountsRepeatsAsSigns,
            {
                "test_what_was_not_stored_is_no_sign_of_a_source",
                "test_a_repeat_under_another_source_is_a_repeat",
                "test_a_stream_takes_nothing_new_from_another_source_than_its_first",
            },
        ),
    ],
)
def test_a_broken_store_fails_by_name(broken: type[MemoryStore], caught_by: set[str]) -> None:
    class Suite(CommitContract, MetricsContract, BucketsContract, EventsContract):
        def make(self) -> Store:
            return broken()

    assert set(failures(Suite)) == caught_by
