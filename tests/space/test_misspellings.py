"""Names that people give to what is here called otherwise, slips of the pen among them: the right one is said first."""
import pytest

from autotricks.errors import SpaceError
from autotricks.space import load_space

from .made import LAST, write

TRICKS = """mixpu>mixup mix_up>mixup MixUp>mixup cut_mix>cutmix cutmx>cutmix cutmixx>cutmix cut_out>cutout
focal_loss>focal focl_loss>focal cosine_annealing>cosine cosine_lr>cosine cosine_schedule>cosine cosin>cosine
crt>classifier_retraining cRT>classifier_retraining ls>label_smoothing label_smooth>label_smoothing
labelsmoothing>label_smoothing lable_smoothing>label_smoothing smooth_labels>label_smoothing
randaugment>rand_augment rand_aug>rand_augment randaug>rand_augment autoaugment>auto_augment
trivialaugment>trivial_augment trivial_aug>trivial_augment random_erase>random_erasing randomerasing>random_erasing
random_resize_crop>random_resized_crop rrc>random_resized_crop random_crop>crop random_flip>flip
horizontal_flip>flip hflip>flip colour_jitter>color_jitter color_jiter>color_jitter jitter>color_jitter
warm_up>warmup warmupp>warmup lr_warmup>warmup sgdr>warm_restart warm_restarts>warm_restart
cosine_warm_restarts>warm_restart one_cycle_lr>one_cycle onecycle>one_cycle step_lr>step adam_w>adamw
SGD>sgd sgd_momentum>sgd grad_clip>gradient_clipping gradient_clip>gradient_clipping clip_grad>gradient_clipping
clip_gradients>gradient_clipping grad_accumulation>gradient_accumulation group_normalization>group_norm
groupnorm>group_norm balanced_softmx>balanced_softmax balanced_softmax_loss>balanced_softmax ldam_loss>ldam
logit_adjust>logit_adjustment logit_adjusted_loss>logit_adjustment class_weight>class_weights
class_weighting>class_weights class_balanced_sampling>class_balanced oversampling>over_sampling
undersample>under_sampling cosface_loss>cosface knowledge_distillation>distillation distilation>distillation
tau_norm>tau_normalization tau_normalisation>tau_normalization swa_averaging>swa EMA>ema ema_weights>ema
cross_entropy_loss>cross_entropy crossentropy>cross_entropy xentropy>cross_entropy manifold_mix>manifold_mixup
zero_gamma_init>zero_gamma xavier_init>xavier kaiming_init>kaiming channel_last>channels_last mixed_up>mixup
batch_renormalization>batch_renorm layerwise_decay>layer_decay nearest_mean>nearest_class_mean
grid_masking>grid_mask sharpness_aware>sam compile>torch_compile torchcompile>torch_compile"""
KEYS = """trainig>training train>training modle>model serach>search objectiv>objective trick>tricks reources>resources
network>model dataset>data starts>start
training.bs>batch_size training.batch>batch_size training.batchsize>batch_size training.batch-size>batch_size
training.num_epochs>epochs training.epoch>epochs training.max_epochs>epochs training.epohcs>epochs
training.random_seed>seed training.mixed_precision>precision training.dtype>precision training.memory_format>layout
data.val>validation data.valid>validation data.val_split>validation data.image_size>size data.img_size>size
data.resolution>size data.test_size>test data.imbalance_factor>imbalance data.num_workers>workers data.chanels>channels
data.dataset>source data.duplicate>duplicates data.prefetch_factor>prefetch
search.algorithm>sampler search.n_trials>trials search.trails>trials search.num_trials>trials search.sample>sampler
search.n_jobs>parallel search.paralel>parallel search.rung>rungs search.rungs.min_budget>first
search.rungs.reduction_factor>reduction search.rungs.eta>reduction
objective.direction>mode objective.metrics>metric resources.gpu>gpus resources.num_gpus>gpus resources.cpu>cpus
confirm.seed>seeds confirm.n_seeds>seeds
tricks.sgd.wd>weight_decay tricks.sgd.learning_rate>lr tricks.sgd.mom>momentum tricks.sgd.weightdecay>weight_decay
tricks.mixup.begin>start tricks.mixup.end>stop tricks.mixup.alhpa>alpha tricks.label_smoothing.eps>epsilon
tricks.label_smoothing.smoothing>epsilon tricks.cutmix.prob>probability tricks.cutmix.p>probability
tricks.warmup.warmup_epochs>epochs tricks.gradient_clipping.max_grad_norm>max_norm tricks.ema.decay_rate>decay
tricks.rand_augment.magnitute>magnitude tricks.step.gamma>factor tricks.cutout.lenght>size"""
VALUES = """objective.mode=maximize>max objective.mode=minimize>min objective.mode=maximise>max
data.duplicates=dropp>drop data.duplicates=remove>drop data.source=mnist>torchvision:MNIST
data.source=cifar10>torchvision:CIFAR10 data.source=CIFAR-100>torchvision:CIFAR100 data.source=digit>digits
model.name=resnet18>timm:resnet18 model.name=tim:resnet18>timm:resnet18 model.name=resnet-20>resnet20
model.name=resnet50>timm:resnet50 model.name=torchvison:vgg16>torchvision:vgg16
model.name=efficientnet_b0>timm:efficientnet_b0 search.sampler=bayes>bayesian search.sampler=bayesain>bayesian
search.sampler=gridsearch>grid search.sampler=optuna>tpe search.engine=locl>local training.precision=bfloat16>bf16
training.precision=float32>fp32 training.layout=channels_last>nhwc objective.metric=accuracy>val/accuracy
objective.metric=val/acc>val/accuracy objective.metric=balanced_accuracy>val/balanced_accuracy
objective.metric=val_accuracy>val/accuracy objective.metric=val_loss>val/loss search.rungs.fidelity=compress>compressed
advice=ignor>ignore"""
CASES = [*(f"tricks.{case}".replace(">", "={}>") for case in TRICKS.split()),
         *(case.replace(">", "=1>") for case in KEYS.split()), *VALUES.split()]


def said(path, override):
    with pytest.raises(SpaceError) as caught:
        load_space(path, [override])
    return " ".join(caught.value.problems)


def test_nine_of_ten_misspellings_are_understood(tmp_path):
    path, pairs = write(tmp_path, LAST), [case.split(">") for case in CASES]
    wrong = [f"{override}: {meant}? {found}" for override, meant in pairs
             for found in [said(path, override)] if f"Did you mean {meant}?" not in found.replace(" or ", "? or ")]
    print(f"{1 - len(wrong) / len(pairs):.1%} of {len(pairs)} misspellings understood", *wrong, sep="\n")
    assert len(pairs) >= 150 and len(wrong) <= 0.1 * len(pairs)


@pytest.mark.parametrize("word", ["evolution", "genetic"])
def test_a_sampler_that_is_gone_leads_to_the_default(tmp_path, word):
    assert "Did you mean bayesian?" in said(write(tmp_path, LAST), f"search.sampler={word}")
