use super::*;
use crate::model::RunError;

const SIZE: Size = Size { width: 2, height: 1 };

#[test]
fn repeats_pixels_channel_by_channel() {
    let model = DummyModel::new(Channels::Rgb, 2);
    let mut output = Vec::new();
    model.open_session().unwrap().run(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], SIZE, &mut output).unwrap();
    let row = |a, b| [a, a, b, b, a, a, b, b];
    assert_eq!(output, [row(1.0, 2.0), row(3.0, 4.0), row(5.0, 6.0)].concat());
    assert_eq!((model.runs(), model.finished(), model.sessions_opened(), model.sessions_open()), (1, 1, 1, 0));
}

#[test]
fn runs_pass_the_gate_in_the_order_of_release() {
    let model = DummyModel::new(Channels::Luma, 1);
    let gate = model.gate();
    gate.hold();
    let (sender, ended) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for run in 0..3 {
            let (mut session, sender) = (model.open_session().unwrap(), sender.clone());
            scope.spawn(move || {
                session.run(&[run as f32, 0.0], SIZE, &mut Vec::new()).unwrap();
                sender.send(run).unwrap();
            });
            assert_eq!(gate.wait_waiting(run + 1)[run], Waiting { run, mark: run as f32 });
        }
        for run in [2, 0] {
            gate.release_run(run);
            assert_eq!(ended.recv_timeout(PATIENCE), Ok(run));
        }
        assert_eq!(gate.waiting(), [Waiting { run: 1, mark: 1.0 }]);
        gate.release(1);
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(1));
    });
    gate.wait_finished(3);
}

#[test]
fn a_held_run_can_be_interrupted_and_the_session_still_works() {
    let model = DummyModel::new(Channels::Luma, 1);
    model.gate().hold();
    let mut session = model.open_session().unwrap();
    let interrupter = session.interrupter();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| session.run(&[0.0, 0.0], SIZE, &mut Vec::new()));
        model.gate().wait_waiting(1);
        interrupter.interrupt();
        assert!(matches!(run.join().unwrap(), Err(RunError::Interrupted)));
    });
    assert!(matches!(session.run(&[0.0, 0.0], SIZE, &mut Vec::new()), Err(RunError::Interrupted)));
    interrupter.rearm();
    model.gate().open();
    assert!(session.run(&[0.0, 0.0], SIZE, &mut Vec::new()).is_ok());
    assert_eq!(model.interrupted(), 2);
}

#[test]
fn runs_and_sessions_fail_on_request() {
    let model = DummyModel::new(Channels::Luma, 2);
    model.fail_run(0, Failure::Error("no".into()));
    model.fail_run(1, Failure::WrongSize);
    model.fail_run(2, Failure::OutOfMemory);
    model.fail_run(3, Failure::Panic("on purpose".into()));
    model.fail_session(1, "no more");
    let mut session = model.open_session().unwrap();
    assert!(model.open_session().is_err());
    let mut run = || session.run(&[0.0, 0.0], SIZE, &mut Vec::new());
    assert!(matches!(run(), Err(RunError::Failed(text)) if text == "no"));
    assert!(matches!(run(), Err(RunError::WrongSize { expected: 8, got: 9 })));
    assert!(matches!(run(), Err(RunError::OutOfMemory(_))));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut run)).is_err());
    assert!(run().is_ok());
    assert_eq!(model.finished(), 5);
}

#[test]
fn sizes_that_violate_its_properties_are_refused() {
    let two = Size { width: 2, height: 2 };
    let model = DummyModel::new(Channels::Luma, 2).with_info(|info| info.multiple = two);
    let mut session = model.open_session().unwrap();
    assert!(session.run(&[0.0; 2], SIZE, &mut Vec::new()).is_err());
    assert!(session.run(&[0.0; 4], two, &mut Vec::new()).is_ok());
    assert!(session.run(&[0.0; 3], two, &mut Vec::new()).is_err());
}

#[test]
fn runs_share_the_memory_of_the_device_with_other_programs() {
    let model = DummyModel::new(Channels::Luma, 1).with_device(100, |pixels| 10 * pixels);
    let mut session = model.open_session().unwrap();
    let mut run = || session.run(&[0.0, 0.0], SIZE, &mut Vec::new());
    run().unwrap();
    assert_eq!(model.device_bytes(), (20, 0));
    model.others_take(81);
    assert!(matches!(run(), Err(RunError::OutOfMemory(_))));
    assert_eq!(model.memory().unwrap().free, 19);
    model.others_take(80);
    run().unwrap();
    assert_eq!(model.device_bytes(), (20, 0));
}

#[test]
fn open_sessions_take_device_memory() {
    let model = DummyModel::new(Channels::Luma, 1).with_device(100, |pixels| 10 * pixels).with_session_bytes(40);
    let mut session = model.open_session().unwrap();
    let other = model.open_session().unwrap();
    assert!(model.open_session().is_err());
    session.run(&[0.0, 0.0], SIZE, &mut Vec::new()).unwrap();
    assert_eq!((session.held(), other.held(), model.device_bytes()), (Some(60), Some(40), (100, 80)));
    drop(other);
    assert!(model.open_session().is_ok());
    drop(session);
    assert_eq!(model.device_bytes().1, 0);
}
