"""The twelve kinds of events in the embedded news, and the house style in which each outlet summarizes them.

Braces are placeholders. In an article `{in_place}` is "here" if the dateline names the place. The article and the
highlights of a kind share some plain words on purpose: a model must learn which facts to pick, and how a house style
phrases them. `courier` is a headline, `herald` one sentence that begins with the person, `wire` two short bullets. No
line begins with a name: a byte-level tokenizer splits a word differently without the space before it, so a model could
not copy it.
"""

from __future__ import annotations

from dataclasses import dataclass

# The dateline names the outlet, so that the style of the highlights can be predicted from the article.
OUTLETS = {"Morning Courier": "courier", "Evening Herald": "herald", "Daily Wire": "wire"}


@dataclass(frozen=True, kw_only=True)
class EventKind:
    """One kind of event: how articles phrase it, and how each house style summarizes it."""

    noun: str
    site: str  # the noun after the goods: "a {goods} warehouse"
    role: str
    unit: str  # what the main number counts
    leads: tuple[str, ...]
    counts: tuple[str, ...]
    courier: str
    herald: str
    wire: str


EVENT_KINDS = (
    EventKind(
        noun="fire",
        site="warehouse",
        role="fire chief",
        unit="workers",
        leads=(
            "A fire destroyed a {goods} warehouse {in_place} on {day}.",
            "On {day} flames swept through a {goods} warehouse {in_place}.",
        ),
        counts=(
            "Fire chief {person} said {number} workers were led out.",
            "In all {number} workers were led out, fire chief {person} said.",
        ),
        courier="Fire in {place}: {goods} warehouse lost, {number} workers led out",
        herald="{person}, fire chief, says {number} workers fled a burning {goods} warehouse in {place}.",
        wire="- Fire guts {goods} warehouse in {place}.\n- {last}: {number} workers led out on {day}.",
    ),
    EventKind(
        noun="flood",
        site="market",
        role="mayor",
        unit="families",
        leads=(
            "A flood covered the {goods} market {in_place} on {day}.",
            "On {day} the river rose and ran through the {goods} market {in_place}.",
        ),
        counts=(
            "Mayor {person} said {number} families had left their homes.",
            "Some {number} families have left their homes, mayor {person} said.",
        ),
        courier="Flood in {place}: {goods} market under water, {number} families leave",
        herald="{person}, mayor, says {number} families left as a flood reached the {goods} market in {place}.",
        wire="- Flood shuts {goods} market in {place}.\n- {last}: {number} families gone on {day}.",
    ),
    EventKind(
        noun="election",
        site="museum",
        role="teacher",
        unit="votes",
        leads=(
            "Voters {in_place} chose a council leader who promised a {goods} museum on {day}.",
            "On {day} the plan for a {goods} museum won the election {in_place}.",
        ),
        counts=(
            "The winner, teacher {person}, was ahead by {number} votes.",
            "Teacher {person} came first by {number} votes.",
        ),
        courier="Election in {place}: {goods} museum plan wins, {number} votes ahead",
        herald="{person}, teacher, wins by {number} votes with the plan for a {goods} museum in {place}.",
        wire="- Voters back {goods} museum in {place}.\n- {last}: {number} votes ahead on {day}.",
    ),
    EventKind(
        noun="merger",
        site="makers",
        role="chairman",
        unit="jobs",
        leads=(
            "The two {goods} makers {in_place} agreed to merge on {day}.",
            "On {day} a merger of the two {goods} makers {in_place} was signed.",
        ),
        counts=(
            "Chairman {person} said {number} jobs would be cut.",
            "The new firm will cut {number} jobs, chairman {person} said.",
        ),
        courier="Merger in {place}: {goods} makers join, {number} jobs to go",
        herald="{person}, chairman, says {number} jobs will go as two {goods} makers merge in {place}.",
        wire="- Merger joins {goods} makers in {place}.\n- {last}: {number} jobs cut on {day}.",
    ),
    EventKind(
        noun="match",
        site="cup",
        role="captain",
        unit="points",
        leads=(
            "The home side won the {goods} cup {in_place} on {day}.",
            "On {day} the match for the {goods} cup {in_place} went to the home side.",
        ),
        counts=(
            "Captain {person} scored {number} points.",
            "No fewer than {number} points were scored by captain {person}.",
        ),
        courier="Match in {place}: {goods} cup stays home, {number} points scored",
        herald="{person}, captain, scores {number} points as the home side lifts the {goods} cup in {place}.",
        wire="- Home side takes {goods} cup in {place}.\n- {last}: {number} points scored on {day}.",
    ),
    EventKind(
        noun="trial",
        site="dealer",
        role="judge",
        unit="months",
        leads=(
            "A court {in_place} sent a {goods} dealer to prison on {day}.",
            "On {day} the trial of a {goods} dealer {in_place} came to an end.",
        ),
        counts=(
            "Judge {person} gave the dealer {number} months for fraud.",
            "The dealer must serve {number} months for fraud, judge {person} said.",
        ),
        courier="Trial in {place}: {goods} dealer guilty, {number} months for fraud",
        herald="{person}, judge, hands down {number} months for fraud to a {goods} dealer in {place}.",
        wire="- Court jails {goods} dealer in {place}.\n- {last}: {number} months given on {day}.",
    ),
    EventKind(
        noun="discovery",
        site="workshop",
        role="professor",
        unit="coins",
        leads=(
            "Students dug up an old {goods} workshop {in_place} on {day}.",
            "On {day} the discovery of an old {goods} workshop {in_place} was made public.",
        ),
        counts=(
            "Professor {person} said {number} coins were found.",
            "There were {number} coins in the ground, professor {person} said.",
        ),
        courier="Discovery in {place}: {goods} workshop dug up, {number} coins found",
        herald="{person}, professor, says {number} coins lay under an old {goods} workshop in {place}.",
        wire="- Diggers find {goods} workshop in {place}.\n- {last}: {number} coins seen on {day}.",
    ),
    EventKind(
        noun="strike",
        site="plant",
        role="union leader",
        unit="drivers",
        leads=(
            "Work stopped at the {goods} plant {in_place} on {day}.",
            "On {day} a strike shut the {goods} plant {in_place}.",
        ),
        counts=(
            "Union leader {person} said {number} drivers had walked out.",
            "So far {number} drivers have walked out, union leader {person} said.",
        ),
        courier="Strike in {place}: {goods} plant shut, {number} drivers walk out",
        herald="{person}, union leader, says {number} drivers are on strike at the {goods} plant in {place}.",
        wire="- Strike halts {goods} plant in {place}.\n- {last}: {number} drivers out on {day}.",
    ),
    EventKind(
        noun="storm",
        site="hall",
        role="engineer",
        unit="houses",
        leads=(
            "A storm tore the roof off the {goods} hall {in_place} on {day}.",
            "On {day} the {goods} hall {in_place} lost its roof in a storm.",
        ),
        counts=(
            "Engineer {person} said {number} houses were without power.",
            "Power was lost in {number} houses, engineer {person} said.",
        ),
        courier="Storm in {place}: {goods} hall loses roof, {number} houses dark",
        herald="{person}, engineer, says {number} houses have no power after a storm hit the {goods} hall in {place}.",
        wire="- Storm wrecks {goods} hall in {place}.\n- {last}: {number} houses dark on {day}.",
    ),
    EventKind(
        noun="opening",
        site="docks",
        role="architect",
        unit="metres",
        leads=(
            "A new bridge to the {goods} docks {in_place} was opened on {day}.",
            "On {day} the first cars crossed the new bridge to the {goods} docks {in_place}.",
        ),
        counts=(
            "The bridge is {number} metres long, architect {person} said.",
            "Architect {person} said it was {number} metres long.",
        ),
        courier="Opening in {place}: {goods} docks bridge ready, {number} metres long",
        herald="{person}, architect, opens a bridge of {number} metres to the {goods} docks in {place}.",
        wire="- Bridge reaches {goods} docks in {place}.\n- {last}: {number} metres crossed on {day}.",
    ),
    EventKind(
        noun="robbery",
        site="shop",
        role="detective",
        unit="rings",
        leads=(
            "Thieves broke into a {goods} shop {in_place} on {day}.",
            "On {day} a robbery took place at a {goods} shop {in_place}.",
        ),
        counts=(
            "Detective {person} said {number} rings were missing.",
            "The thieves took {number} rings, detective {person} said.",
        ),
        courier="Robbery in {place}: {goods} shop raided, {number} rings missing",
        herald="{person}, detective, hunts thieves who took {number} rings from a {goods} shop in {place}.",
        wire="- Thieves raid {goods} shop in {place}.\n- {last}: {number} rings stolen on {day}.",
    ),
    EventKind(
        noun="award",
        site="traders",
        role="director",
        unit="rivals",
        leads=(
            "A film about {goods} traders won the top prize {in_place} on {day}.",
            "On {day} the award for best film {in_place} went to a story about {goods} traders.",
        ),
        counts=(
            "Director {person} beat {number} rivals.",
            "There were {number} rivals, director {person} said.",
        ),
        courier="Award in {place}: {goods} traders film wins, {number} rivals beaten",
        herald="{person}, director, beats {number} rivals with a film about {goods} traders in {place}.",
        wire="- Top prize for {goods} traders film in {place}.\n- {last}: {number} rivals beaten on {day}.",
    ),
)

# Sentences that name other people, places, firms and figures, which a summary must leave out.
DISTRACTORS = (
    '"I have sold {other_goods} near there for years," said {other_person}, a neighbour.',
    "A student, {other_person}, had come from {other_place} to buy {other_goods}.",
    "Retired sailor {other_person} counted {other_number} cars in the street.",
    '"It was over in a moment," said {other_person}, who is {other_number} weeks into a new job.',
    "Rain is expected, with winds of {other_number} kilometres an hour.",
    "Clouds over {other_place} will move off after a cold night.",
    "The last such event was in {other_place}, {other_number} weeks ago.",
    "In {other_place}, {other_number} people met last year to talk about {other_goods} prices.",
    "Shares in {other_firm} rose by {other_number} cents.",
    "{other_firm}, which makes {other_goods} boxes, will move to {other_place}.",
    "Trains to {other_place} ran {other_number} minutes late.",
    "A spokesman for {other_firm} declined to comment.",
)
