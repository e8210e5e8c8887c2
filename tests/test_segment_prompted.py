"""Masks from words: tiny networks of the real classes with random weights, saved and loaded as users' are."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from vfuse.cli.main import app
from vfuse.errors import UsageError, WeightsError
from vfuse.segment.prompted import GroundedOptions, GroundedSegmenter, prepared, spans_of

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "road", "person", "tree", "car", "a"]


def test_frames_become_what_sam_expects():
    frame = np.full((30, 40, 3), (255, 0, 51), np.uint8)
    got = prepared(frame, side=16)
    assert got.shape == (1, 3, 16, 16)
    wanted = [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]
    np.testing.assert_allclose(got[0, :, 5, 5], wanted, rtol=1e-5)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Both networks as `save_pretrained` writes them."""
    hub = pytest.importorskip("transformers")
    pytest.importorskip("PIL")
    folder = tmp_path_factory.mktemp("networks")
    torch.manual_seed(0)
    finder = hub.GroundingDinoForObjectDetection(
        hub.GroundingDinoConfig(
            backbone_config=hub.SwinConfig(
                image_size=64,
                embed_dim=16,
                depths=[1, 1, 1, 1],
                num_heads=[1, 1, 2, 2],
                window_size=4,
                out_features=["stage2", "stage3", "stage4"],
            ),
            text_config=hub.BertConfig(
                vocab_size=len(WORDS),
                hidden_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=32,
                max_position_embeddings=64,
            ),
            d_model=32,
            encoder_layers=1,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            num_queries=12,
            max_text_len=32,
        )
    )
    finder.save_pretrained(folder / "dino")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    tokens = hub.BertTokenizerFast(str(folder / "vocab.txt"))
    pictures = {
        "image_processor_type": "GroundingDinoImageProcessor",
        "processor_class": "GroundingDinoProcessor",
        "size": {"shortest_edge": 64, "longest_edge": 96},
    }  # as published
    (folder / "dino" / "preprocessor_config.json").write_text(json.dumps(pictures))
    tokens.save_pretrained(folder / "dino")
    follower = hub.Sam2VideoModel(tiny_sam(hub))
    follower.save_pretrained(folder / "sam")
    return folder


def tiny_sam(hub):
    vision = hub.Sam2VisionConfig(
        backbone_config=hub.Sam2HieraDetConfig(
            hidden_size=8,
            image_size=[64, 64],
            blocks_per_stage=[1, 1, 2, 1],
            embed_dim_per_stage=[8, 16, 32, 64],
            num_attention_heads_per_stage=[1, 1, 1, 1],
            window_size_per_stage=[4, 4, 4, 2],
            window_positional_embedding_background_size=[4, 4],
            global_attention_blocks=[3],
        ),
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=128,
    )
    return hub.Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 128, "image_size": 64, "mask_input_channels": 4},
        mask_decoder_config={
            "hidden_size": 128,
            "mlp_dim": 32,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 32,
        },
        image_size=64,
        memory_attention_hidden_size=128,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32,
        memory_attention_rope_feat_sizes=[4, 4],
        memory_encoder_hidden_size=128,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=32,
        memory_fuser_num_layers=1,
    )


@pytest.fixture(scope="module")
def segmenter(folders):
    options = GroundedOptions(
        detector=str(folders / "dino"), segmenter=str(folders / "sam"), sure=0, again=3, device="cpu"
    )
    return GroundedSegmenter(("background", "road", "person"), options=options)


def frames(count):
    return np.random.default_rng(0).integers(0, 255, (count, 48, 64, 3)).astype(np.uint8)


def test_boxes_are_of_the_words_they_fit_best(segmenter):
    (frame,) = frames(1)
    boxes, places = segmenter.find(frame)
    assert boxes.shape == (12, 4)  # every query is sure enough here
    assert set(places) <= {1, 2}
    given = segmenter._processor(images=frame, text="road. person.", return_tensors="pt")
    tokens = segmenter._processor.tokenizer.convert_ids_to_tokens(given["input_ids"][0])
    assert tokens == ["[CLS]", "road", ".", "person", ".", "[SEP]"]
    logits = segmenter._finder(**given).logits[0]
    assert places == [1 if query[1] >= query[3] else 2 for query in logits.tolist()]


def test_longer_names_have_spans_of_their_own(segmenter):
    spans = spans_of(["a tree", "car"], segmenter._processor.tokenizer)
    assert spans == [slice(1, 3), slice(4, 5)]


def test_streaming_equals_the_whole_video_at_once(segmenter):
    """Against transformers' own loop over a video that is all there, which keeps every frame."""
    pictures = frames(3)
    boxes = torch.tensor([[5.0, 5, 30, 40], [20, 10, 60, 30]])
    whole = segmenter.begin(boxes, (48, 64))
    whole.processed_frames = {place: prepared(one, side=64)[0] for place, one in enumerate(pictures)}
    with torch.inference_mode():
        wanted = [out.pred_masks for out in segmenter._follower.propagate_in_video_iterator(whole, 0)]
    session = segmenter.begin(boxes, (48, 64))
    for number, picture in enumerate(pictures):
        got = segmenter.follow(session, picture, number)
        shown = torch.nn.functional.interpolate(
            wanted[number].reshape(2, 1, 16, 16), (48, 64), mode="bilinear"
        )
        torch.testing.assert_close(got, shown[:, 0], atol=1e-4, rtol=1e-4)
    assert not session.processed_frames


def test_a_video_is_looked_at_anew_after_some_frames(segmenter):
    pictures = frames(5)
    video = segmenter.video()
    labels = [video(picture) for picture in pictures]
    assert all(one.shape == (48, 64) and set(np.unique(one)) <= {0, 1, 2} for one in labels)
    assert any(one.any() for one in labels)
    later = segmenter.video()  # frame 3 begins anew, so it does not know what was before
    for picture, wanted in zip(pictures[3:], labels[3:], strict=True):
        np.testing.assert_array_equal(later(picture), wanted)


def test_networks_that_are_not_there(folders, tmp_path):
    for finder, follower, said in (
        (tmp_path / "none", folders / "sam", "none: holds no Grounding DINO"),
        (folders / "dino", tmp_path / "none", "none: holds no SAM 2"),
        (folders / "dino", folders / "dino", "SAM 2"),
    ):
        options = GroundedOptions(detector=str(finder), segmenter=str(follower), device="cpu")
        with pytest.raises(WeightsError, match=said):
            GroundedSegmenter(("background", "road"), options=options)
    options = GroundedOptions(detector=str(folders / "dino"), segmenter=str(folders / "sam"), device="cpu")
    with pytest.raises(UsageError, match="too long"):
        GroundedSegmenter(("road " * 40,), options=options)


def test_weights_that_lack_some_are_refused(folders, tmp_path):
    folder = tmp_path / "sam"
    shutil.copytree(folders / "sam", folder)
    weights = load_file(folder / "model.safetensors")
    del weights["no_memory_embedding"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    options = GroundedOptions(detector=str(folders / "dino"), segmenter=str(folder), device="cpu")
    with pytest.raises(WeightsError, match="lacks 1 of its weights, such as no_memory_embedding"):
        GroundedSegmenter(("road",), options=options)


def test_written_masks_score_as_they_did_when_predicted(folders, tmp_path):
    (tmp_path / "v").mkdir()
    (tmp_path / "m").mkdir()
    for number, picture in enumerate(frames(4)):
        cv2.imwrite(str(tmp_path / "v" / f"{number}.png"), picture)
        cv2.imwrite(str(tmp_path / "m" / f"{number}.png"), picture[..., 0] // 64)
    video, masks, out = (str(tmp_path / name) for name in ("v", "m", "out"))
    common = ["segment", video, "--gt", masks, "--classes", "sky,road,person,car", "--json", "-q"]
    networks = ["--grounding", str(folders / "dino"), "--sam", str(folders / "sam"), "--sure", "0"]
    run = CliRunner().invoke(app, [*common, "--prompt", "road. person", *networks, "--masks", out])
    assert run.exit_code == 0, run.output
    (scored,) = json.loads(run.stdout)["videos"]
    assert [one["name"] for one in scored["scores"]["classes"]] == ["background", "road", "person"]
    again = CliRunner().invoke(app, [*common, "--pred", str(tmp_path / "out" / "v")])
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["videos"] == [scored]
    missing = CliRunner().invoke(app, [*common, "--prompt", "road", "--grounding", str(tmp_path / "none")])
    assert missing.exit_code == 5
