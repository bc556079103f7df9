//! What events tell of.

use crate::domain::values::words::words;

words! {
    EventType {
        CustomerCreated "customer.created",
        CustomerUpdated "customer.updated",
        CustomerActivated "customer.activated",
        CustomerDeactivated "customer.deactivated",
        PointsEarned "points.earned",
        PointsRedeemed "points.redeemed",
        PointsExpired "points.expired",
        CardEnrolled "card.enrolled",
        StampsAdded "stamps.added",
        CardRewardReached "card.reward_reached",
        TierChanged "tier.changed",
        ConfigChanged "config.changed",
        CommandParked "command.parked",
    }
}
