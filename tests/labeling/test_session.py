"""State of a labeling: answers, claims, and questions that were closed."""

import threading

import pytest

from saccade.labeling.agreement import agreement_of, repeated_images
from saccade.labeling.learning import Question
from saccade.labeling.session import AnsweredError, Session


@pytest.fixture
def session(tmp_path):
    settings = {"seed": 0, "attempt": 1}
    with Session.create(tmp_path / "s.sqlite", settings, [f"{n}.jpg" for n in range(20)], ["h"] * 20) as session:
        yield session


def ask(session, positions, phase="learn", reason="random"):
    before = set(session.open_questions())
    session.ask([Question(position, reason) for position in positions], attempt=1, phase=phase)
    return sorted(set(session.open_questions()) - before)


def test_no_two_clients_get_the_same_question_and_claims_end(session):
    ask(session, range(6))
    first = session.claim("a", 3, seconds=100)
    second = session.claim("b", 9, seconds=100)
    assert [position for _, position in first] == [0, 1, 2]
    assert [position for _, position in second] == [3, 4, 5]
    assert session.claim("c", 9, seconds=100) == []
    assert session.claim("a", 3, seconds=100) == first
    assert session.claim("c", 9, seconds=-1) == first + second  # all others were silent for too long


def test_a_client_gets_questions_that_it_avoids_last(session):
    numbers = ask(session, range(4))
    assert [number for number, _ in session.claim("a", 3, seconds=100, avoid=numbers[:2])] == [*numbers[2:], numbers[0]]


def test_an_answer_is_recorded_only_on_top_of_the_answer_that_the_person_saw(session):
    (number,) = ask(session, [5])
    first = session.answer_once(number, "cat", client="a", who="Ada", replaces=None)
    with pytest.raises(AnsweredError) as caught:
        session.answer_once(number, "dog", client="b", who="Bo", replaces=None)
    assert caught.value.answer is not None
    assert (caught.value.answer.label, caught.value.answer.who) == ("cat", "Ada")
    second = session.answer_once(number, "dog", client="b", who="Bo", replaces=first)
    assert session.answers() == {5: "dog"}
    session.answer_once(number, None, client="b", who="Bo", replaces=second)
    assert session.answers() == {}
    assert session.open_questions() == {number: 5}
    assert session.claim("a", 3, seconds=100) == []  # the person who withdrew the answer sees the image again
    assert [answer.label for answer in session.history(number)] == ["cat", "dog", None]


def test_the_number_of_a_closed_question_is_never_used_again(session):
    closed = ask(session, [1, 2])
    session.close_open_questions()
    (other,) = ask(session, [3])
    assert other not in closed
    with pytest.raises(AnsweredError) as caught:
        session.answer_once(closed[0], "cat", client="a", who="Ada", replaces=None)
    assert caught.value.answer is None


def test_a_claimed_question_is_kept_and_becomes_the_next_one_on_its_image(session):
    first, second = ask(session, [1, 2])
    assert session.claim("a", 1, seconds=100) == [(first, 1)]
    session.close_open_questions()
    assert session.open_questions() == {first: 1}
    with pytest.raises(AnsweredError):
        session.answer_once(second, "cat", client="a", who="Ada", replaces=None)
    ask(session, [1, 3], "sample")
    assert session.questions("sample", 1) == [1, 3]
    assert list(session.open_questions().values()) == [1, 3]
    session.answer_once(first, "cat", client="a", who="Ada", replaces=None)
    assert session.answers("sample", 1) == {1: "cat"}
    session.close_open_questions(also_claimed=True)
    assert session.open_questions() == {}


def test_the_claims_of_a_closed_page_are_free(session):
    numbers = ask(session, [1, 2])
    assert len(session.claim("a", 2, seconds=100)) == 2
    assert session.claim("b", 2, seconds=100) == []
    session.release("a")
    assert [number for number, _ in session.claim("b", 2, seconds=100)] == numbers


def test_only_a_class_without_a_use_is_removed(session):
    (number,) = ask(session, [1])
    session.add_classes(["cat", "dgo", "dog"])
    session.answer_once(number, "cat", client="a", who="Ada", replaces=None)
    session.label_group([2], "dog", who="Ada")
    assert [session.remove_class(name) for name in ("cat", "dgo", "dog", "dgo")] == [False, True, False, False]
    assert session.class_names() == ["cat", "dog"]


def test_an_answer_is_changed_for_images_that_have_another_one(session):
    ask(session, [1, 2, 3])
    session.answer(dict(zip(session.open_questions(), ("cat", "dog"), strict=False)))
    assert session.change({1: "cat", 2: "cat", 3: "cat"}) == 1
    assert session.answers() == {1: "cat", 2: "cat"}
    assert [answer.label for answer in session.history()] == ["cat", "dog", "cat"]


def test_questions_with_answers_are_not_closed(session):
    first, second = ask(session, [1, 2])
    session.answer({first: "cat"})
    session.close_open_questions()
    assert session.answers() == {1: "cat"}
    assert session.open_questions() == {}
    assert second


def test_everything_in_a_transaction_is_recorded_or_nothing(session):
    def fail():
        with session.transaction():
            session.keep_setting("phase", "sample")
            ask(session, [1])
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    assert session.setting("phase") is None
    assert session.open_questions() == {}


def test_a_second_connection_waits_for_the_first(session):
    numbers = ask(session, range(10))

    def answer(part):
        with Session(session.path) as other:
            for number in part:
                other.answer_once(number, "cat", client=str(part), who="Ada", replaces=None)

    threads = [threading.Thread(target=answer, args=(numbers[start::2],)) for start in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert session.answers() == dict.fromkeys(range(10), "cat")


def test_agreement_of_one_person_and_of_two(session):
    first = ask(session, range(6), "sample")
    session.answer(dict(zip(first, "aabbcc", strict=True)), who="Ada")
    assert agreement_of(repeated_images(session), same_person=True) is None
    second = ask(session, range(6), "repeat")
    session.answer(dict(zip(second[:2], "ab", strict=True)), who="Ada")
    session.answer(dict(zip(second[2:], "bbca", strict=True)), who="Bo")
    pairs = repeated_images(session)
    own, of_two = (agreement_of(pairs, same_person=same) for same in (True, False))
    assert own is not None
    assert of_two is not None
    assert (own.num_images, own.num_equal, own.kappa) == (2, 1, None)
    assert (of_two.num_images, of_two.num_equal) == (4, 3)
    # Cohen's kappa by hand: observed 3/4; expected by chance 1/2 * 1/2 + 1/2 * 1/4 = 3/8.
    assert of_two.kappa == pytest.approx((3 / 4 - 3 / 8) / (1 - 3 / 8))
    # The answer to the question with both answers counts.
    (number,) = ask(session, [1], "compare")
    session.answer({number: "b"}, who="Bo")
    assert session.answers()[1] == "b"
    assert session.answers("sample", 1)[1] == "b"
    assert agreement_of(repeated_images(session), same_person=True) == own
