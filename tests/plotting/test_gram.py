"""Token Gram: colours by sign, blocks parted, labels legible, refusals."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from gradlab.errors import GradlabError
from gradlab.plotting import plot_token_gram
from tests.plotting.drawing import clipped, flaws
from tests.plotting.synthetic import NASTY, WORDS


def cosines(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, 12))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


def labels(count: int) -> list[str]:
    return [WORDS[i % len(WORDS)] for i in range(count)]


def test_the_scale_is_symmetric_and_ends_off_the_diagonal():
    matrix = np.array([[1.0, -0.31], [-0.31, 1.0]])
    (image,) = plot_token_gram(matrix, ["a", "b"], 1).images
    assert image.get_clim() == (-0.4, 0.4)
    np.testing.assert_array_equal(image.get_array(), matrix)
    (image,) = plot_token_gram(np.eye(1), ["a"], 1).images
    assert image.get_clim() == (-1.0, 1.0)


def test_positive_is_blue_negative_red_and_unknown_grey():
    matrix = np.array([[1.0, -0.5, 0.5], [-0.5, 1, np.nan], [0.5, np.nan, 1]])
    (image,) = plot_token_gram(matrix, ["a", "b", "c"], 1).images
    red, blue = (image.to_rgba(image.get_array()[0])[i] for i in (1, 2))
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    grey = image.to_rgba(image.get_array()[1])[2]
    assert grey[0] == grey[1] == grey[2]


def test_blocks_are_parted_at_the_first_rejected_token():
    ax = plot_token_gram(cosines(7), labels(7), 3)
    assert {tuple(line.get_xdata()) for line in ax.lines} == {(0, 1), (2.5, 2.5)}
    assert not plot_token_gram(cosines(4), labels(4), 4).lines


def test_the_heading_gives_the_means_without_the_diagonal():
    matrix = np.array([[1, 0.5, 0.1], [0.5, 1, 0.3], [0.1, 0.3, 1]])
    ax = plot_token_gram(matrix, ["a", "b", "c"], 2)
    expected = "mean cosine: chosen 0.5, rejected –, \nbetween the two 0.2"
    assert ax.get_title(loc="left") == expected


@pytest.mark.parametrize(
    ("count", "chosen"), [(1, 1), (2, 1), (38, 18), (76, 47), (140, 139)]
)
def test_no_text_collides(count, chosen):
    ax = plot_token_gram(cosines(count), labels(count), chosen)
    assert flaws(ax.figure) == []


def named(ax) -> list[float]:
    return sorted([*ax.get_yticks(), *ax.get_yticks(minor=True)])


def test_many_names_stand_in_two_rows_by_turns():
    ax = plot_token_gram(cosines(30), labels(30), 18)
    assert list(ax.get_yticks(minor=True)) == []
    assert named(ax) == list(range(30))
    ax = plot_token_gram(cosines(76), labels(76), 47)
    assert list(ax.get_yticks(minor=True)) == list(range(1, 76, 2))
    assert named(ax) == list(range(76))
    ax = plot_token_gram(cosines(140), labels(140), 70)
    (step,) = set(np.diff(named(ax)))
    assert step > 1


def test_in_one_of_two_panels():
    figure = Figure(figsize=(6.75, 3.2), layout="constrained")
    for ax in figure.subplots(1, 2):
        assert plot_token_gram(cosines(30), labels(30), 14, ax=ax) is ax
    assert flaws(figure) == []


def test_untrusted_text_draws_without_a_warning():
    ax = plot_token_gram(cosines(len(NASTY)), list(NASTY), 9)
    assert clipped(ax.figure) == []


def test_refusals():
    with pytest.raises(GradlabError, match=r"shape \(2, 3\); expected \[M, M\]"):
        plot_token_gram(np.ones((2, 3)), labels(2), 1)
    with pytest.raises(GradlabError, match="found 3 labels of 4 tokens"):
        plot_token_gram(cosines(4), labels(3), 1)
    with pytest.raises(GradlabError, match="chosen_count is 5; expected 0 to 4"):
        plot_token_gram(cosines(4), labels(4), 5)
    with pytest.raises(GradlabError, match="expected"):
        plot_token_gram(np.ones((0, 0)), [], 0)
