//! Deliberate faults are for harnesses: inert unless set, and loud when they are.

use syncline_testkit::{Fault, Node, NodeOptions};

use crate::run;

#[test]
fn a_node_says_nothing_of_faults_unless_one_is_set() {
    run(async {
        let node = Node::start(NodeOptions::default()).await.unwrap();
        assert!(
            !node.log().contains("SYNCLINE_TEST_FAULT"),
            "{}",
            node.log()
        );
    });
}

#[test]
fn a_node_with_a_fault_warns() {
    run(async {
        for fault in Fault::ALL {
            let node = Node::start(NodeOptions::faulty(Some(fault))).await.unwrap();
            assert!(
                node.log().contains("SYNCLINE_TEST_FAULT"),
                "{fault:?}: {}",
                node.log()
            );
        }
    });
}
