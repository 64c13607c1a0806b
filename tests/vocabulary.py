"""Words that Saccade does not use, each with the field's word that takes its place.

`tests/vocabulary_search.py` searches them. A word is searched in the meaning that the field has another word for, as a
whole identifier or in certain phrases, so that ordinary English stays ("right" as a direction, "part" as a component).
Names of tests are sentences, hence prose.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """A word to be replaced.

    Attributes:
        name: name of the word in the table of exceptions.
        instead: the field's word.
        stems: texts of which one is in each use; they only speed up the search.
        code: pattern of a use in identifiers of code; identifiers are lower case, their words separated by blanks.
        prose: pattern of a use in comments, strings, pages and names of tests; lower case.
    """

    name: str
    instead: str
    stems: tuple[str, ...]
    code: str
    prose: str


_MODEL = r"(?:images?|networks?|models?|runs?|class(?:es)?)"
_PROGRAM = (
    r"(?:bars?|columns?|commands?|errors?|exports?|files?|functions?|hash(?:es)?|layers?|lines?|messages?|models?|networks?"
    r"|notes?|pages?|programs?|recipes?|reports?|runs?|saccade|servers?|tables?|trainings?|it|which|that|what)"
)
_BRITISH = (
    r"(?:behavi|col|fav|flav|hon|lab|neighb)our|(?:labell|modell|travell)(?:ed(?!by)|ing)"
    r"|(?:categor|character|custom|emphas|equal|final|general|initial|maxim|memor|minim|normal|optim|organ|orthogonal|parallel"
    r"|quant|random|real|recogn|regular|serial|special|standard|summar|synchron|token|util|vector|visual)is(?:e|ed|es|er|ers|ing|ation)\b"
    r"|\bcentre|\bgrey|\bcatalogue|\bartefact|\blicence|\banalysed?\b"
)

WORDS = (
    Word("picture", "image", ("pictur",), r"pictur", r"pictur"),
    Word(
        "answer",
        "prediction; of a server: response",
        ("answer",),
        r"\banswer",
        rf"\b(?:{_MODEL}|right|wrong)\W+(?:\w+\W+){{0,2}}answer(?:s|ed|ing)?\b"
        rf"|\banswer(?:s|ed|ing)?\W+(?:\w+\W+){{0,3}}(?:{_MODEL}|right|wrong)\b",
    ),
    Word(
        "right, wrong",
        "correct, incorrect",
        ("right", "wrong"),
        r"\b(?:right|wrong) (?:answers?|images?|predictions?)\b|\bnum (?:right|wrong)\b",
        r"\b(?:right|wrong) (?:answers?|predictions?)\b|\b(?:answered|classified|predicted) (?:right|wrong)(?:ly)?\b"
        r"|\b(?:answers?|predictions?) (?:that )?(?:is|are|was|were) (?:right|wrong)\b",
    ),
    Word("commonest", "most common", ("commonest",), r"commonest", r"commonest"),
    Word(
        "part",
        "split",
        ("part",),
        r"\b(?:train|training|validation|test|data) parts?\b|\bchecked parts\b|\bparts of\b",
        r"\b(?:training|validation|test) parts?\b|(?<!no )\bparts? of the data\b",
    ),
    Word(
        "copies",
        "duplicates, near-duplicates",
        ("cop",),
        r"\bcopies\b|\b(?:exact|near|mirrored) cop(?:y|ies)\b",
        r"\b(?:exact|mirrored|near)(?: or exact)?[- ]cop(?:y|ies)\b|\b(?:are|being|no) copies\b"
        r"|\bcop(?:y|ies) of (?:\w+ ){0,2}images?\b",
    ),
    Word("familiarity", "out-of-distribution (OOD) p-value", ("familiar",), r"familiar", r"familiar"),
    Word("promise", "target accuracy", ("promis",), r"\bpromis", r"\bpromis"),
    Word("unsure", "abstained", ("unsure",), r"\bunsure", r"\bunsure\b"),
    Word(
        "refused",
        "unreadable, with a reason",
        ("refus",),
        r"\brefus",
        r"\bimages?(?:\W+\w+){0,3}\W+refus\w+|\brefus\w+(?:\W+\w+){0,2}\W+images?\b|\bdecoded,? or refused\b",
    ),
    Word(
        "says, tells",
        "the noun or verb of what is done: message, log, print, give",
        ("say", "tell", "told", "said"),
        r"\b(?:told|tells?|says?|said|telling|saying)\b",
        rf"\b{_PROGRAM} (?:\w+ly )?(?:says?|tells?|said|told)\b|\b(?:is|are|was|were|be|been) (?:told|said)\b",
    ),
    Word(
        "learned",
        "pretrained weights",
        ("learned", "bring", "brought"),
        r"\b(?:learned|brings|brought)\b",
        r"\b(?:bring|brings|brought) along\b|\bwhat (?:it|the network|a network|the source) (?:has )?learned\b",
    ),
    Word("earlier", "previous", ("earlier",), r"\bearlier\b", r"\bearlier (?:split|training|run)s?\b"),
    Word(
        "views",
        "test-time augmentation; `tta_views`",
        ("view",),
        r"(?<!tta )(?<!centered )(?<!shifted )(?<!window )\bviews?\b",
        r"\b(?:one|two|six|several|many|more) views?\b|\bviews? of (?:an |the )?images?\b|\bover (?:the |all )?views\b",
    ),
    Word("drawings, figures", "plots", ("drawing", "figures"), r"\bdrawings?\b|\bfigures\b", r"\bdrawings?\b(?! from)"),
    Word("contender", "run group", ("contender",), r"contender", r"contender"),
    Word(
        "rule",
        "preprocessing",
        ("rule",),
        r"\brules?\b",
        r"\b(?:image|pixel)s?'?s? rules?\b|\brules? for (?:\w+ )?(?:images|pixels)\b",
    ),
    Word(
        "facts",
        "header, metadata",
        ("fact",),
        r"\bfacts?\b",
        r"\bfacts? of (?:an?|the|those|these) (?:files?|images?)\b|\bfacts json\b|\bown facts\b",
    ),
    Word("twin", "training model", ("twin",), r"\btwins?\b", r"\btwins?\b"),
    Word("rooms", "packages", ("rooms",), r"\brooms\b", r"\brooms\b"),
    Word("verb", "command", ("verb",), r"\bverbs?\b", r"\bverbs?\b"),
    Word(
        "moves, moved",
        "augmentation parameters, augmented",
        ("move",),
        r"\bmove[ds]?\b",
        r"\bmoved (?:and mirrored )?images?\b|\bimages? (?:is|are|were|may be) moved\b|\brandomly moved\b"
        r"|\b(?:order|labels|images) and moves\b|\b(?:the|these) moves\b"
        r"|\bmoves? (?:parameters|for each|of no length)\b",
    ),
    Word(
        "British spelling",
        "American spelling",
        ("our", "lled", "lling", "is", "centre", "grey", "gue", "artefact", "licence", "analyse"),
        _BRITISH,
        _BRITISH,
    ),
)

OLD_MODULES = {
    "saccade": "keras_start pages pipeline printable whole_files",
    "auditing": "folder picture_checks pictures unusable write",
    "cli": "training_data",
    "data": "array_data copies copy_candidates copy_verification decoded default_size explore_drawings figures folders"
    " limits parts picture_data picture_files picture_grid scans sniff walk workers",
    "deploy": "check_export leaflet light_model",
    "evaluation": "comparison_drawings contenders drawings next_steps paired_answers report_drawings report_pictures"
    " robustness_drawing",
    "experiments": "answered curve curve_drawing deal plan told",
    "inference": "abstention class_probability familiarity_of_run light open_model respond sources",
    "models": "backbone_graph compute_dtype familiarity folded_graph folding forward precise_first_layer temperature"
    " twin views",
    "recipes": "catalogue",
    "runs": "answers plans untrusted writing",
    "server": "bodies decoding guard open_inference page page_files patient_protocol pictures_api refused",
    "static": "answers elements map numbers server",
    "training": "budget_in_words head_epoch history_drawing linear_head machine_dtype save series source statistics",
    "tuning": "drawings final locks record tuning",
}
"""Packages and folders, each with the modules and folders in it that have another name now."""

OLD_NAMES = {
    "PictureRule": "Preprocessing",
    "asked_about": "with_tta",
    "carry_out": "run_training",
    "draw_moves": "sample_augmentation",
    "steps_of": "batch_slices",
    # recipe keys, options, keys in JSON, files
    "least_steps": "min_steps_per_epoch",
    "whole_pixels": "integer_translate",
    "start_size": "initial_scale",
    "end_size": "final_scale",
    "warm_up": "warmup_epochs",
    "decay_every": "lr_decay_epochs",
    "statistics_batches": "batchnorm_recalibration_batches",
    "fine_tuned": "trainable_fraction",
    "keep=helped": "keep=if_improved",
    "--familiarity": "--ood",
    "--split-from": "--reuse-split",
    "--set shift=": "translate",
    "--set flip=": "horizontal_flip",
    "--set views=": "tta_views",
    "--set decay=": "lr_decay",
    "--set validation=": "validation_split",
    "unsure_below": "confidence_threshold",
    "largest_difference": "max_abs_error",
    "one_picture_ms": "latency_ms",
    "quarantine": "unreadable",
}
"""Names that have become others, each with the new one; searched as they stand."""
